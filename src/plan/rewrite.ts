import { compilePattern } from "../api/regular-expression.ts";
import { invalid, ok, type Result } from "./result.ts";
import { MOST_AT_ONCE, type Work } from "./work.ts";

export interface RewriteStep {
  readonly regexp: { readonly source: string; readonly target: string };
}

/** No name that becomes a key needs more; a step that repeats its match would soon fill the memory. */
const LONGEST_NAME = 2_048;

/** Applies the steps to one name after the other. */
export function newRewriter(steps: readonly RewriteStep[], work: Work): (name: string) => Result<string> {
  const replacers = steps.map(({ regexp }) => compilePattern(regexp.source)?.replacer(regexp.target));
  return (name) => {
    let text = name;
    for (const replace of replacers) {
      if (text.length > LONGEST_NAME)
        return invalid(`is longer than ${LONGEST_NAME} characters, or a rewrite makes it so`);
      const replaced = replace?.(text, MOST_AT_ONCE);
      if (!replaced) return invalid("takes too much work to rewrite; simplify the rewrite");
      work.spend(replaced.work);
      text = replaced.text;
    }
    return ok(text);
  };
}
