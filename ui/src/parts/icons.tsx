import type { ReactNode } from "react";

const PATHS = {
  dashboard: <path d="M2.5 2.5h4.5v6H2.5zM9 2.5h4.5v3.5H9zM9 8h4.5v5.5H9zM2.5 10.5H7v3H2.5z" />,
  tests: (
    <path d="M2.5 4l1.2 1.2L6 2.8M2.5 8.4l1.2 1.2L6 7.2M2.5 12.8L3.7 14 6 11.6M8.5 4h5M8.5 8.5h5M8.5 13h5" />
  ),
  runs: <path d="M4.5 2.8v10.4L13 8z" />,
  queue: <path d="M2.5 3.5h11M2.5 8h11M2.5 12.5h6" />,
  runners: <path d="M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1" />,
  schedules: <path d="M8 14a6 6 0 1 0 0-12 6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6" />,
  admin: (
    <path d="M10 6.5a3.5 3.5 0 1 0-2.9 3.4L8.5 11.5H10V13h1.5v1.5H14v-2.2L9.9 8.2A3.5 3.5 0 0 0 10 6.5zM5.6 5.6h.1" />
  ),
  search: <path d="M7 12a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM10.8 10.8L14 14" />,
  sun: (
    <path d="M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1" />
  ),
  moon: <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />,
  system: <path d="M2 3h12v8H2zM5.5 14h5M8 11v3" />,
  menu: <path d="M2 4h12M2 8h12M2 12h12" />,
  close: <path d="M3.5 3.5l9 9M12.5 3.5l-9 9" />,
  copy: <path d="M5.5 5.5h8v8h-8zM3 10.5H2.5v-8h8V3" />,
  check: <path d="M3 8.5l3.2 3.2L13 4.5" />,
  down: <path d="M4 6l4 4 4-4" />,
  right: <path d="M6 4l4 4-4 4" />,
  download: <path d="M8 2.5v8M4.5 7L8 10.5 11.5 7M2.5 13.5h11" />,
  pin: <path d="M5 2.5h6l-.8 4.5 2.3 2.5h-9L5.8 7zM8 9.5V14" />,
  play: <path d="M4.5 2.8v10.4L13 8z" />,
  pause: <path d="M5 3v10M11 3v10" />,
  retry: <path d="M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3" />,
  stop: <path d="M3.5 3.5h9v9h-9z" />,
  compare: <path d="M5 2.5v11M11 2.5v11M5 5.5H2M5 10H2M14 5.5h-3M14 10h-3" />,
  user: <path d="M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14c.5-3 2.5-4.5 5.5-4.5s5 1.5 5.5 4.5" />,
  link: (
    <path d="M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.3 4.3L11.3 8.8M9 11.5L7.5 13a3 3 0 0 1-4.3-4.3l1.5-1.5" />
  ),
  external: <path d="M6 3H3v10h10v-3M9 2.5h4.5V7M13.5 2.5L7.5 8.5" />,
} satisfies Record<string, ReactNode>;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** A line icon; always decoration, the control that holds it has the words. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      viewBox="0 0 16 16"
      width={size}
      height={size}
      aria-hidden="true"
      className="shrink-0"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      {PATHS[name]}
    </svg>
  );
}
