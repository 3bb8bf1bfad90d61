import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Test() {
  useTitle("Test");
  return <Empty title="This page is not built yet" />;
}
