import type { DecodingStrategy } from "../api/secret-sync-sources.ts";
import { SecretValue } from "../providers/secret-value.ts";
import { invalid, ok, type Result } from "./result.ts";
import { utf8 } from "./text.ts";

/**
 * Base64 as RFC 4648 has it, in either alphabet, padded or not, and with the line breaks that encoders put in
 * (https://www.rfc-editor.org/rfc/rfc4648#section-3.1), or the byte order mark of an editor. Auto decodes what isPlainlyBase64()
 * says, and keeps anything else.
 */
export function decode(value: SecretValue, strategy: DecodingStrategy): Result<SecretValue> {
  if (strategy === "None") return ok(value);
  const written = value.reveal().toString("latin1").replace(BYTE_ORDER_MARK, "").trim();
  const lines = written.split(/[\r\n]+/);
  const text = lines.map((line) => line.trim()).join("");
  const url = strategy === "Base64URL" || (strategy === "Auto" && /[-_]/.test(text));
  const form = url ? /^[-_A-Za-z0-9]*={0,2}$/ : /^[+/A-Za-z0-9]*={0,2}$/;
  const padded = text.length % 4 === 0 || (!text.includes("=") && text.length % 4 !== 1);
  if (form.test(text) && padded) {
    const bytes = Buffer.from(text, url ? "base64url" : "base64");
    return ok(strategy !== "Auto" || isPlainlyBase64(text, bytes) ? SecretValue.fromBytes(bytes) : value);
  }
  return strategy === "Auto"
    ? ok(value)
    : invalid(`is not valid ${strategy}; correct it, or choose another decodingStrategy`);
}

/** As UTF-8 has it, byte by byte. */
const BYTE_ORDER_MARK = /^\u00EF\u00BB\u00BF/;

/** Unpadded; a password or access key of letters and digits is shorter, as a rule. */
const PLAIN_LENGTH = 64;

/** Many words and numbers are valid Base64, too, and no bytes that anybody wants: so it must come out as text, or look like it. */
function isPlainlyBase64(text: string, bytes: Buffer): boolean {
  if (isText(bytes) || text.endsWith("=")) return true;
  // API keys such as sk_live_… are of the other alphabet, long, and not encoded.
  if (/[-_]/.test(text)) return false;
  return text.length >= PLAIN_LENGTH && /[a-z]/.test(text) && /[A-Z]/.test(text) && /\d/.test(text);
}

/** UTF-8 without control characters but tabs and line breaks. */
function isText(bytes: Buffer): boolean {
  const text = utf8(bytes);
  return text !== undefined && text !== "" && !/[^\P{Cc}\t\r\n]/u.test(text);
}
