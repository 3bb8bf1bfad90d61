import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Compare() {
  useTitle("Compare");
  return <Empty title="This page is not built yet" />;
}
