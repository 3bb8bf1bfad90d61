import { useTitle } from "~/app/title";
import { Empty } from "~/parts/basics";

/** What a visitor sees whose token sees no namespace. */
export function NoNamespace() {
  useTitle("No namespace");
  return (
    <main className="mx-auto max-w-xl py-16">
      <Empty title="This token sees no namespace" command="tstr ctl namespace create NAME">
        Either there is none yet, or the namespace selectors of the token match none of them.
      </Empty>
    </main>
  );
}
