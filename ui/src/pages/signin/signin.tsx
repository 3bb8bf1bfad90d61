import { useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { asApiError } from "~/api/problem";
import { type Identity, identityQuery, signIn, whoIsIn, whoseCode } from "~/api/session";
import { useTitle } from "~/app/title";
import { Button, Command, Facts } from "~/parts/basics";
import { Problem } from "~/parts/loaded";

const route = getRouteApi("/signin");

/** The one-time code of a sign-in link. It stands in the fragment, which a browser never sends to a server. */
function codeOf(hash: string): string | undefined {
  return new URLSearchParams(hash.replace(/^#/, "")).get("code") ?? undefined;
}

/** What a sign-in link is good for, as the server says, and who is signed in already. */
interface Link {
  code: string;
  of: Identity;
  instead: Identity | undefined;
}

/**
 * Signing in: by a token, or by the one-time link that `tstr up` prints. A link opens no session by being opened: whoever made it
 * may have sent it to somebody else, who would then work as the maker without noticing. So it says whose session it is, and asks.
 */
export function SignIn() {
  useTitle("Sign in");
  const { to } = route.useSearch();
  const router = useRouter();
  const queries = useQueryClient();
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [link, setLink] = useState<Link>();
  const looked = useRef<string>(undefined);

  const enter = async (proof: { token: string } | { code: string }) => {
    setBusy(true);
    setError(undefined);
    try {
      await signIn(proof);
      queries.clear();
      await queries.fetchQuery(identityQuery);
      // Only an address of this app: what stands in `to` could have been written by somebody else.
      await router.navigate({ href: to?.startsWith("/") && !to.startsWith("//") ? to : "/", replace: true });
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };

  const look = async (code: string) => {
    setBusy(true);
    setError(undefined);
    try {
      const [of, instead] = await Promise.all([whoseCode(code), whoIsIn()]);
      setLink({ code, of, instead });
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };

  useEffect(() => {
    const code = codeOf(location.hash);
    // Each once, also when development draws everything twice.
    if (!code || looked.current === code) return;
    looked.current = code;
    // Out of the address and of the history, before anything else can read it there.
    history.replaceState(history.state, "", location.pathname + location.search);
    void look(code);
  });

  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    if (token.trim()) void enter({ token: token.trim() });
  };
  const refused = error !== undefined && asApiError(error).status === 401;

  return (
    <main className="flex min-h-screen items-center justify-center p-4">
      <div className="panel w-full max-w-sm p-6">
        <div className="mb-5 flex items-center gap-2.5">
          <svg viewBox="0 0 16 16" width="26" height="26" aria-hidden="true">
            <rect width="16" height="16" rx="4" className="fill-accent" />
            <path
              d="M4.5 8.4l2.4 2.4 4.7-5.4"
              fill="none"
              className="stroke-on-accent"
              strokeWidth="1.9"
              strokeLinecap="round"
              strokeLinejoin="round"
            />
          </svg>
          <h1>Sign in to tstr</h1>
        </div>
        {link ? (
          <Confirm
            link={link}
            busy={busy}
            onGo={() => void enter({ code: link.code })}
            onLeave={() => {
              const isIn = link.instead !== undefined;
              setLink(undefined);
              setError(undefined);
              if (isIn) void router.navigate({ href: "/", replace: true });
            }}
          />
        ) : (
          <form onSubmit={onSubmit} className="flex flex-col gap-3">
            <label htmlFor="token" className="text-sm font-medium">
              Token
            </label>
            <input
              id="token"
              type="password"
              className="input code"
              autoComplete="current-password"
              spellCheck={false}
              placeholder="tstr_…"
              value={token}
              aria-invalid={refused || undefined}
              aria-describedby={error ? "refusal" : "about-token"}
              onChange={(event) => setToken(event.target.value)}
            />
            <Button
              kind="primary"
              type="submit"
              busy={busy}
              why={token.trim() || busy ? undefined : "There is no token yet"}
            >
              {busy ? "Signing in…" : "Sign in"}
            </Button>
          </form>
        )}
        {error ? (
          <div id="refusal" className="-mx-4 mt-2">
            <Problem error={error} what={refused ? "Refused" : undefined} />
          </div>
        ) : null}
        <p id="about-token" className="mt-5 border-t pt-4 text-sm text-muted">
          The token is exchanged for a session of 12 hours and not kept in this browser.{" "}
          <code className="code">tstr up</code> prints a link that signs you in once, and whoever has a token
          makes another one by:
        </p>
        <div className="mt-2 text-sm">
          <Command>tstr ctl sign-in</Command>
        </div>
        {location.protocol === "http:" && !/^(localhost|127\.|\[::1\])/.test(location.host) ? (
          <p className="mt-3 rounded bg-warn-soft px-3 py-2 text-sm">
            This page came over plain http: whoever is on the way can read the token and the session.
          </p>
        ) : null}
      </div>
    </main>
  );
}

/** Asks whether the session that a link is for is to be opened. */
function Confirm({
  link: { of, instead },
  busy,
  onGo,
  onLeave,
}: {
  link: Link;
  busy: boolean;
  onGo: () => void;
  onLeave: () => void;
}) {
  const { name, scopes } = of.token;
  const isOther = instead !== undefined && instead.token.id !== of.token.id;
  return (
    <div className="flex flex-col gap-3">
      <p>
        This link signs this browser in with the token <strong className="break-words">{name}</strong>. Go on
        only if you asked for it, or know who did: what you do then is done in that name.
      </p>
      <Facts
        items={[
          ["Scopes", scopes.join(", ")],
          ["Namespaces", of.namespaces.join(", ") || "none yet"],
          // Whoever issues a token gives it any name.
          ["Token", of.token.id],
        ]}
      />
      {isOther ? (
        <p role="alert" className="rounded bg-warn-soft px-3 py-2 text-sm">
          You are signed in with the token <strong className="break-words">{instead.token.name}</strong>. That
          session ends in this browser.
        </p>
      ) : null}
      <Button kind="primary" busy={busy} onClick={onGo}>
        {busy ? "Signing in…" : `Sign in as ${name}`}
      </Button>
      <Button onClick={onLeave}>{instead ? "Stay as I am" : "Do not use this link"}</Button>
    </div>
  );
}
