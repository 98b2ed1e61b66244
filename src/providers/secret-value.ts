/**
 * Secret bytes that can't be printed by accident: every way of turning it into text gives [redacted]. `reveal` is
 * the only way in; search for it to see who looks.
 */
export class SecretValue {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  static fromText(text: string): SecretValue {
    return new SecretValue(Buffer.from(text, "utf8"));
  }

  reveal(): Buffer {
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  equals(other: SecretValue): boolean {
    return this.#bytes.equals(other.#bytes);
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [Symbol.toPrimitive](): string {
    return "[redacted]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }
}
