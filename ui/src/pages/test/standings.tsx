import type { Schema } from "~/api/client";
import { Empty } from "~/parts/basics";
import type { StateWord, Tone } from "~/parts/state";

/** What people read of where a case stands. */
export const STANDINGS: Record<Schema["Standing"], { word: string; icon: StateWord; tone: Tone }> = {
  new: { word: "new", icon: "fail", tone: "fail" },
  still_failing: { word: "still failing", icon: "fail", tone: "fail" },
  fixed: { word: "fixed", icon: "pass", tone: "pass" },
  passing: { word: "passing", icon: "pass", tone: "pass" },
  skipped: { word: "skipped", icon: "skip", tone: "idle" },
  missing: { word: "missing", icon: "never", tone: "warn" },
  removed: { word: "removed", icon: "never", tone: "idle" },
};

/** Where a test has no cases: what makes them. */
export function NoReport() {
  return (
    <Empty title="No report of this test was read yet" command="pytest --junitxml=$TSTR_ARTIFACTS/junit.xml">
      Let its framework write JUnit XML, CTRF or TAP into <code className="code">$TSTR_ARTIFACTS</code>.
    </Empty>
  );
}
