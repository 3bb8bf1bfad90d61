/** Words that YAML would not read back as the text they are. */
const NOT_PLAIN =
  /^(?:|~|null|true|false|yes|no|on|off|[-+.]?\d.*|[-?:,[\]{}#&*!|>'"%@`].*|.*[:#]\s.*|.*:|.*\s|\s.*)$/i;

/**
 * Writes a value as YAML, for people to read and to feed to `tstr ctl test apply`. Texts that could be read as something
 * else are quoted as JSON strings, which YAML understands.
 */
export function toYaml(value: unknown): string {
  return `${block(value, 0).join("\n")}\n`;
}

function scalar(value: unknown): string {
  if (typeof value === "string") {
    return NOT_PLAIN.test(value) || /[\u0000-\u001f\u007f]/.test(value) ? JSON.stringify(value) : value;
  }
  return value === undefined ? "null" : JSON.stringify(value);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

function block(value: unknown, depth: number): string[] {
  const pad = "  ".repeat(depth);
  if (typeof value !== "object" || value === null || isEmpty(value)) {
    return [
      pad + (value && typeof value === "object" ? (Array.isArray(value) ? "[]" : "{}") : scalar(value)),
    ];
  }
  if (Array.isArray(value)) {
    if (value.every((each) => typeof each !== "object" || each === null)) {
      return value.map((each) => `${pad}- ${scalar(each)}`);
    }
    return value.flatMap((each) => {
      const lines = block(each, depth + 1);
      return [`${pad}- ${(lines[0] ?? "").trimStart()}`, ...lines.slice(1)];
    });
  }
  return Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .flatMap(([key, each]) => {
      const name = `${pad}${scalar(key)}:`;
      const nested = typeof each === "object" && each !== null && !isEmpty(each);
      if (!nested) return [`${name} ${block(each, 0)[0]}`];
      return [name, ...block(each, depth + 1)];
    });
}
