import { useOfNow } from "~/app/clock";
import { useZone } from "~/app/settings";
import { clock, dateTime, duration, relative, zoneLabel } from "~/lib/time";

type How = "relative" | "absolute" | "clock" | "both";

/**
 * An instant. Relative text carries the exact time, in the chosen zone and with its name, as `title` and `datetime`;
 * an absolute time shows its zone.
 */
export function Time({
  at,
  how = "relative",
  millis = false,
}: {
  at: string | undefined;
  how?: How;
  millis?: boolean;
}) {
  const zone = useZone();
  if (!at) return <span className="text-muted">–</span>;
  const instant = new Date(at);
  if (Number.isNaN(instant.getTime())) return <span>{at}</span>;
  const label = zoneLabel(instant, zone);
  const exact = `${dateTime(instant, zone, millis)} ${label}`;
  if (how === "absolute") {
    return (
      <time dateTime={at} className="whitespace-nowrap">
        {exact}
      </time>
    );
  }
  if (how === "clock") {
    return (
      <time dateTime={at} title={exact} className="whitespace-nowrap">
        {clock(instant, zone, millis)} {label}
      </time>
    );
  }
  return (
    <time dateTime={at} title={exact} className={how === "both" ? "" : "whitespace-nowrap"}>
      {how === "both" ? `${exact}, ` : ""}
      <Relative instant={instant} />
    </time>
  );
}

function Relative({ instant }: { instant: Date }) {
  return useOfNow((now) => relative(instant, now));
}

/** How long something took, or has been going on for when it has no end yet. */
export function Took({ from, to, ms }: { from?: string; to?: string; ms?: number }) {
  if (ms !== undefined) return <span className="whitespace-nowrap">{duration(ms)}</span>;
  if (!from) return <span className="text-muted">–</span>;
  if (!to) return <Running from={from} />;
  return (
    <span className="whitespace-nowrap">{duration(new Date(to).getTime() - new Date(from).getTime())}</span>
  );
}

function Running({ from }: { from: string }) {
  const text = useOfNow((now) => {
    const seconds = Math.max(0, Math.floor((now.getTime() - new Date(from).getTime()) / 1_000));
    return seconds < 1 ? "0 s" : duration(seconds * 1_000);
  });
  return <span className="whitespace-nowrap">{text}</span>;
}
