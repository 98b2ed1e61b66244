/**
 * Parses what an apiserver sends in a time that whoever writes objects can't stretch. Names of members take by far the
 * longest, some 2 µs for each that is new: an object of etcd's size may have 100,000 of them, in managedFields, labels or
 * anywhere, and parsing it would hold up everybody for a quarter of a second. Items of lists take a tenth of that.
 */

/** Names of one object, or of all large objects of a page. The largest Secret, with two managers, has 20,000. */
const MOST_MEMBERS = 30_000;
/** Items of lists that take as long as a name. */
const ITEMS_OF_A_MEMBER = 10;
/** A shorter text has no more, at `"a":0,` each. */
const SHORT = 6 * MOST_MEMBERS;
/** A part with fewer is never left out: that would be in vain. */
const FEW_MEMBERS = 1_000;
/** Objects of a page with fewer share most of their names with the others. */
const USUAL_MEMBERS = 2_000;

/** What is left out of an object with more, in this order: it is taken as if it weren't there. */
const EXPENDABLE = [
  "managedFields",
  "ownerReferences",
  "finalizers",
  "labels",
  "annotations",
  "status",
  "spec",
  "data",
  "binaryData",
];

interface Span {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly members: number;
}

interface Census {
  /** Names of members, and items of lists as a part of one; in a list only those of objects with more than usual. */
  readonly members: number;
  /** Objects of a list. */
  readonly objects: number;
  /** Expendable parts, none within another. */
  readonly spans: readonly Span[];
}

/**
 * The value of a text without spaces between tokens, as the apiserver writes it. Throws a SyntaxError as JSON.parse does, and an
 * Error for what would be too much even without all that may be left out.
 */
export function parseBounded(text: string): unknown {
  if (text.length <= SHORT) return JSON.parse(text);
  const { members, spans } = censusOf(text);
  return JSON.parse(members <= MOST_MEMBERS ? text : without(text, spans, members - MOST_MEMBERS));
}

/** The same for a page of so many objects, with all that is in it; undefined when a smaller page must be asked for. */
export function parsePage(text: string, mostObjects = Infinity): { readonly page: unknown } | undefined {
  if (text.length <= SHORT) {
    const page = JSON.parse(text) as { readonly items?: unknown } | null;
    if (Array.isArray(page?.items) && page.items.length > mostObjects) throw new Error(TOO_MANY);
    return { page };
  }
  const { members, objects } = censusOf(text);
  if (objects > mostObjects) throw new Error(TOO_MANY);
  return members > MOST_MEMBERS ? undefined : { page: JSON.parse(text) };
}

const TOO_MANY = "more objects than were asked for";

function without(text: string, spans: readonly Span[], excess: number): string {
  const rank = ({ name }: Span) => EXPENDABLE.indexOf(name);
  const byRank = spans
    .filter((span) => span.members > FEW_MEMBERS)
    .sort((a, b) => rank(a) - rank(b) || b.members - a.members);
  const cut: Span[] = [];
  let left = excess;
  while (left > 0 && byRank.length > 0) {
    const next = byRank.shift() as Span;
    cut.push(next);
    left -= next.members;
  }
  // What is left of objects that an apiserver takes is less by far.
  if (left > MOST_MEMBERS) throw new Error("an object of no form that there is");
  let from = 0;
  const parts = cut
    .sort((a, b) => a.start - b.start)
    .map(({ start, end }) => {
      const part = `${text.slice(from, start)}null`;
      from = end;
      return part;
    });
  return parts.join("") + text.slice(from);
}

/** One pass over the text; only brackets, commas and names of members count. */
function censusOf(text: string): Census {
  const spans: Span[] = [];
  /** Names of the containers around, and of the member whose value comes next. */
  const path: string[] = [];
  let name = "";
  let members = 0;
  /** Whether each of the containers around is a list. */
  const lists: boolean[] = [];
  let objects = 0;
  let isList = false;
  let inLargeItems = 0;
  let span:
    | { readonly name: string; readonly start: number; readonly depth: number; readonly from: number }
    | undefined;
  let itemFrom = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfString(text, at);
        if (text.charCodeAt(end + 1) === COLON) {
          members++;
          name = end - at <= LONGEST_EXPENDABLE ? text.slice(at + 1, end) : "";
        }
        at = end;
        break;
      }
      case OPEN_OBJECT:
      case OPEN_LIST:
        if (path.length === 2 && path[1] === "items") {
          isList = true;
          objects++;
          itemFrom = members;
        }
        if (!span && isExpendable(name, path)) span = { name, start: at, depth: path.length, from: members };
        path.push(name);
        lists.push(text.charCodeAt(at) === OPEN_LIST);
        name = "";
        break;
      case COMMA:
        if (lists.at(-1) === true) members += 1 / ITEMS_OF_A_MEMBER;
        break;
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        path.pop();
        lists.pop();
        name = "";
        if (span?.depth === path.length) {
          spans.push({ name: span.name, start: span.start, end: at + 1, members: members - span.from });
          span = undefined;
        }
        if (path.length === 2 && path[1] === "items" && members - itemFrom > USUAL_MEMBERS)
          inLargeItems += members - itemFrom;
    }
  }
  return { members: isList ? inLargeItems : members, objects, spans };
}

/** Parts of an object's metadata, spec, status and data; of an object alone, in an event or in a list. */
function isExpendable(name: string, path: readonly string[]): boolean {
  if (!EXPENDABLE.includes(name) || path.length > 4) return false;
  return path.at(-1) === "metadata" || ["spec", "status", "data", "binaryData"].includes(name);
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

const LONGEST_EXPENDABLE = 16;
const QUOTE = 0x22;
const COLON = 0x3a;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
