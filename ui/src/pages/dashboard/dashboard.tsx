import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** Comes next. */
export function Dashboard() {
  useTitle("Dashboard");
  return <Empty title="This page is not built yet" />;
}
