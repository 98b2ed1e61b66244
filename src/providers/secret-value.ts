import { isUtf8 } from "node:buffer";

/**
 * Secret bytes that can't be printed by accident: every way of turning it into text gives [redacted]. `reveal` is
 * the only way in; search for it to see who looks.
 */
export class SecretValue {
  readonly #bytes: Buffer;
  /** Of a value that the store has as a set of named ones: these, byte for byte. */
  readonly members: ReadonlyMap<string, SecretValue> | undefined;
  /** Members that aren't UTF-8, so that the bytes of the whole, which are JSON, leave them out. */
  readonly leftOut: readonly string[];

  constructor(bytes: Buffer, members?: ReadonlyMap<string, SecretValue>, leftOut: readonly string[] = []) {
    this.#bytes = bytes;
    this.members = members;
    this.leftOut = leftOut;
  }

  static fromText(text: string): SecretValue {
    return new SecretValue(Buffer.from(text, "utf8"));
  }

  /** A set, such as the data of a Kubernetes Secret; as a whole it is a JSON object. */
  static fromMembers(members: ReadonlyMap<string, SecretValue>): SecretValue {
    const texts: [string, string][] = [];
    const leftOut: string[] = [];
    for (const [name, member] of members) {
      if (isUtf8(member.#bytes)) texts.push([name, member.#bytes.toString("utf8")]);
      else leftOut.push(name);
    }
    return new SecretValue(Buffer.from(JSON.stringify(Object.fromEntries(texts)), "utf8"), members, leftOut);
  }

  reveal(): Buffer {
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** Bytes in memory: of a set, its members too. */
  get held(): number {
    let held = this.#bytes.length;
    for (const { length } of this.members?.values() ?? []) held += length;
    return held;
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
