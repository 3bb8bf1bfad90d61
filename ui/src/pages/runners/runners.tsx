import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Runners() {
  useTitle("Runners");
  return <Empty title="This page is not built yet" />;
}
