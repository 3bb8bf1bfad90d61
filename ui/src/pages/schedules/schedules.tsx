import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Schedules() {
  useTitle("Schedules");
  return <Empty title="This page is not built yet" />;
}
