import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Runs() {
  useTitle("Runs");
  return <Empty title="This page is not built yet" />;
}
