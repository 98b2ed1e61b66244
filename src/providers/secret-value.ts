import { isUtf8 } from "node:buffer";

/**
 * Secret bytes that can't be printed by accident: every way of turning it into text gives [redacted]. `reveal` is
 * the only way in; search for it to see who looks.
 */
export class SecretValue {
  readonly #reveal: () => Buffer;
  /** Bytes that it holds in memory, about. */
  readonly held: number;
  /** Of a value that the store has as a set of named ones: these, byte for byte. */
  readonly members: ReadonlyMap<string, SecretValue> | undefined;

  private constructor(reveal: () => Buffer, held: number, members?: ReadonlyMap<string, SecretValue>) {
    this.#reveal = reveal;
    this.held = held;
    this.members = members;
  }

  static fromBytes(bytes: Buffer): SecretValue {
    return new SecretValue(() => bytes, bytes.length);
  }

  static fromText(text: string): SecretValue {
    return SecretValue.fromBytes(Buffer.from(text, "utf8"));
  }

  /** A set, such as the data of a Kubernetes Secret. */
  static fromMembers(members: ReadonlyMap<string, SecretValue>): SecretValue {
    let held = 0;
    for (const [name, member] of members) held += name.length + member.size + OF_A_MEMBER;
    return new SecretValue(() => jsonOf(members), held, members);
  }

  /** Bytes of what it says, about; those of the names of a set among them. */
  get size(): number {
    return this.held - OF_A_MEMBER * (this.members?.size ?? 0);
  }

  /** Of a set a JSON object, made anew each time, since few ask for it; `leftOut` of it aren't in there. */
  reveal(): Buffer {
    return this.#reveal();
  }

  /** Members that aren't UTF-8, which no JSON can hold. */
  get leftOut(): readonly string[] {
    return [...(this.members ?? [])].filter(([, member]) => !isUtf8(member.reveal())).map(([name]) => name);
  }

  equals(other: SecretValue): boolean {
    return this.reveal().equals(other.reveal());
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

/** Bytes of the map's entry and of the value around the member's own bytes, about. */
const OF_A_MEMBER = 400;

function jsonOf(members: ReadonlyMap<string, SecretValue>): Buffer {
  const texts: [string, string][] = [];
  for (const [name, member] of members) {
    const bytes = member.reveal();
    if (isUtf8(bytes)) texts.push([name, bytes.toString("utf8")]);
  }
  return Buffer.from(JSON.stringify(Object.fromEntries(texts)), "utf8");
}
