import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Admin() {
  useTitle("Admin");
  return <Empty title="This page is not built yet" />;
}
