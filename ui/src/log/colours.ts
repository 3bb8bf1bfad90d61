import { BOLD, DIM, HIDDEN, INVERSE, ITALIC, RGB, type Sgr, SPELLED, STRIKE, UNDERLINE } from "./ansi";

/** Classes and colours of a look. Colours go through the CSSOM, which the Content-Security-Policy allows. */
export interface Look {
  className: string;
  style?: { "--c"?: string; color?: string; backgroundColor?: string };
}

const FLAGS: [number, string][] = [
  [BOLD, "ansi-bold"],
  [DIM, "ansi-dim"],
  [ITALIC, "ansi-italic"],
  [UNDERLINE, "ansi-underline"],
  [STRIKE, "ansi-strike"],
  [SPELLED, "ansi-spelled"],
];

// The sixteen colours where they stand on each other; on the ground of the page they have classes of the theme.
const SIXTEEN = [
  0x1d1f21, 0xb3202c, 0x1a7a41, 0x8a6100, 0x2b50c8, 0x8b35a5, 0x0c7285, 0xd0d3d8, 0x6d727c, 0xff7b76,
  0x5cd691, 0xf0c252, 0x8fa6ff, 0xe09cf5, 0x62d3e4, 0xffffff,
];

/** How a look is drawn. */
export function look(sgr: Sgr): Look {
  const classes = FLAGS.filter(([flag]) => sgr.flags & flag).map(([, name]) => name);
  const isInverse = (sgr.flags & INVERSE) !== 0;
  const isHidden = (sgr.flags & HIDDEN) !== 0;
  if (isHidden) classes.push("ansi-hidden");
  const fg = isInverse ? sgr.bg : sgr.fg;
  const bg = isInverse ? sgr.fg : sgr.bg;
  if (isInverse && sgr.fg === -1) {
    // Default on default, turned round.
    classes.push("ansi-inverse");
    return { className: classes.join(" ") };
  }
  if (bg !== -1) {
    const ground = rgbOf(bg);
    return {
      className: classes.filter((name) => name !== "ansi-dim").join(" "),
      style: {
        backgroundColor: hex(ground),
        color: hex(readable(fg === -1 ? undefined : rgbOf(fg), ground)),
      },
    };
  }
  if (fg === -1) return { className: classes.join(" ") };
  if (fg < 16) return { className: [...classes, `ansi-${fg}`].join(" ") };
  return { className: [...classes, "ansi-colour"].join(" "), style: { "--c": hex(rgbOf(fg)) } };
}

/** The colour of a number of the palette, or of 24 bits. */
export function rgbOf(colour: number): number {
  if (colour >= RGB) return colour & 0xffffff;
  if (colour < 16) return SIXTEEN[colour]!;
  if (colour >= 232) return (8 + (colour - 232) * 10) * 0x010101;
  const n = colour - 16;
  const step = (of: number) => (of === 0 ? 0 : 55 + of * 40);
  return (step(Math.floor(n / 36)) << 16) | (step(Math.floor(n / 6) % 6) << 8) | step(n % 6);
}

function hex(rgb: number): string {
  return `#${rgb.toString(16).padStart(6, "0")}`;
}

function luminance(rgb: number): number {
  const linear = (shift: number) => {
    const part = ((rgb >> shift) & 255) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0);
}

/** The contrast of two colours, from 1 to 21. */
export function contrast(a: number, b: number): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** The colour that was asked for, or black or white where it could not be read. */
function readable(wanted: number | undefined, ground: number): number {
  if (wanted !== undefined && contrast(wanted, ground) >= 4.5) return wanted;
  return contrast(0, ground) >= contrast(0xffffff, ground) ? 0 : 0xffffff;
}
