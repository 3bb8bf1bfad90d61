import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Queue() {
  useTitle("Queue");
  return <Empty title="This page is not built yet" />;
}
