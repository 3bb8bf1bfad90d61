// As in the log viewer: CSI; strings (OSC with its links and titles, DCS, SOS, PM, APC) with their end, in 7 bits and in 8;
// other escapes; control characters. A string without an end, or with another one within it, loses only its
// introducer: it would hide what follows, and looking for its end again and again takes for ever.
const ESCAPES =
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u0090\u0098\u009c-\u009f]*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\r(?!\n)/g;

/** A text without escape sequences and control characters, those that turn the direction of writing included. */
export function stripEscapes(text: string): string {
  return text.replace(ESCAPES, "");
}
