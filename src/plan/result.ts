/** A problem with a payload, in words that never quote the payload. */
export interface PayloadProblem {
  readonly kind: "invalid" | "absent" | "large";
  readonly message: string;
}
export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: PayloadProblem };

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });
export const invalid = <T>(message: string): Result<T> => ({
  ok: false,
  problem: { kind: "invalid", message },
});
export const large = <T>(message: string): Result<T> => ({ ok: false, problem: { kind: "large", message } });
export const absent = <T>(message: string): Result<T> => ({
  ok: false,
  problem: { kind: "absent", message },
});
