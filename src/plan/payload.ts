import { SecretValue } from "../providers/secret-value.ts";
import {
  isObject,
  parseJson,
  unmarked,
  withoutMarks,
  type Json,
  type JsonObject,
  type Parsed,
} from "./exact-json.ts";
import { PropertySearch } from "./property-search.ts";
import { absent, invalid, large, ok, type Result } from "./result.ts";
import { quoted } from "./text.ts";
import type { Work } from "./work.ts";

/** The payloads of one SecretSync: each is parsed once, and each property of it is made a value once. */
export class Payloads {
  readonly #work: Work;
  readonly #parsed = new Map<SecretValue, Result<Parsed>>();
  /** By property; undefined for the whole. */
  readonly #selected = new Map<SecretValue, Map<string | undefined, Result<SecretValue>>>();

  constructor(work: Work) {
    this.#work = work;
  }

  /** May be asked for before the rest, by who wants to let others have a turn between. A set has its members unparsed. */
  parse(payload: SecretValue): void {
    if (!payload.members) this.#parse(payload);
  }

  /** One value out of a payload: the whole of it, or a property of its JSON. */
  select(payload: SecretValue, property: string | undefined): Result<SecretValue> {
    if (payload.members && property !== undefined)
      return within(payload.members, property, (member, rest) => this.select(member, rest));
    if (property === undefined && !payload.members) return ok(payload);
    const known = this.#selected.get(payload)?.get(property);
    if (known) return known;
    const result = property === undefined ? this.#wholeOf(payload) : this.#select(payload, property);
    const selected = this.#selected.get(payload) ?? new Map<string | undefined, Result<SecretValue>>();
    this.#selected.set(payload, selected.set(property, result));
    return result;
  }

  /** Every member of a JSON object, or of the object at a property. */
  members(
    payload: SecretValue,
    property: string | undefined,
  ): Result<Iterable<readonly [string, Result<SecretValue>]>> {
    if (payload.members)
      return property === undefined
        ? ok([...payload.members].map(([name, value]) => [name, ok(value)] as const))
        : within(payload.members, property, (member, rest) => this.members(member, rest));
    const parsed = this.#parse(payload);
    if (!parsed.ok) return parsed;
    const found = property === undefined ? ok(parsed.value.json) : this.#find(parsed.value, property);
    if (!found.ok) return found;
    if (!isObject(found.value))
      return invalid("is not a JSON object, so it has no members to extract; name single keys in data");
    return ok(this.#membersOf(found.value, parsed.value));
  }

  /** Members that are null count as absent. */
  *#membersOf(found: JsonObject, parsed: Parsed): Iterable<readonly [string, Result<SecretValue>]> {
    for (const [marked, member] of Object.entries(found))
      if (member !== null) yield [unmarked(marked, parsed.mark), this.#toValue(member, parsed)];
  }

  #wholeOf(set: SecretValue): Result<SecretValue> {
    this.#work.spend(set.held);
    return wholeOf(set);
  }

  #select(payload: SecretValue, property: string): Result<SecretValue> {
    const parsed = this.#parse(payload);
    if (!parsed.ok) return parsed;
    const found = this.#find(parsed.value, property);
    return found.ok ? this.#toValue(found.value, parsed.value) : found;
  }

  #find({ json, mark }: Parsed, property: string): Result<Json> {
    const search = new PropertySearch(property, mark, this.#work);
    const found = search.in(json);
    if (search.isGivenUp) return large("takes too much work to search; split the SecretSync");
    if (found !== undefined && found !== null) return ok(found);
    return absent(
      search.metNull ? `holds null at property ${quoted(property)}` : `has no property ${quoted(property)}`,
    );
  }

  #parse(payload: SecretValue): Result<Parsed> {
    const known = this.#parsed.get(payload);
    if (known) return known;
    this.#work.spend(payload.held);
    const result = parseJson(payload);
    this.#parsed.set(payload, result);
    return result;
  }

  /**
   * Strings as they are, everything else as its JSON text: numbers with the digits that they were written with, members in
   * their order.
   */
  #toValue(json: Json, { mark }: Parsed): Result<SecretValue> {
    let text = typeof json === "string" ? json : JSON.stringify(json);
    if (mark !== undefined) text = text.startsWith(mark) ? text.slice(mark.length) : withoutMarks(text, mark);
    this.#work.spend(text.length);
    return text.isWellFormed()
      ? ok(SecretValue.fromText(text))
      : invalid("holds half of a surrogate pair, which no UTF-8 text can; correct the escape");
  }
}

/** Bytes that are no text have no place in the JSON of the whole. */
function wholeOf(set: SecretValue): Result<SecretValue> {
  const [name] = set.leftOut;
  return name === undefined
    ? ok(SecretValue.fromBytes(set.reveal()))
    : invalid(
        `has members that are no text, such as ${quoted(name)}, so it has none as a whole; name one by property`,
      );
}

/** In a set the longest name comes first; what is behind it is a property of that member's own JSON. */
function within<T>(
  members: ReadonlyMap<string, SecretValue>,
  property: string,
  get: (member: SecretValue, rest: string | undefined) => Result<T>,
): Result<T> {
  const none = `has no property ${quoted(property)}`;
  let why = none;
  for (let end = property.length; end > 0; end = property.lastIndexOf(".", end - 1)) {
    const name = property.slice(0, end);
    const member = members.get(name) ?? members.get(name.replaceAll("\\.", "."));
    if (!member) continue;
    if (end === property.length) return get(member, undefined);
    const result = get(member, property.slice(end + 1));
    if (result.ok) return result;
    // A name may begin like another one: what its member can't give isn't an error, and may be of help.
    if (why === none) why = `${none}; its member ${quoted(name)} ${result.problem.message}`;
  }
  return absent(why);
}
