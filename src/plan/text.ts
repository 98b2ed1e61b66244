/** How messages show text that comes from outside: short, in quotes, and with every odd character visible. */

export const quoted = (text: string): string => printable(JSON.stringify(shortened(text, 80)));

export const shortened = (text: string, most = 256): string =>
  text.length > most ? `${text.slice(0, most)}…` : text;

/** Characters that a terminal would act on, or that look like others, as JSON writes them. */
export const printable = (text: string): string => text.replaceAll(/[^ -~…]/g, escapeUnit);

const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** undefined for what is no UTF-8. */
export function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
