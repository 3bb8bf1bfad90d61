import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Run() {
  useTitle("Run");
  return <Empty title="This page is not built yet" />;
}
