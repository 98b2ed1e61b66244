/**
 * How many secrets to ask for next. 50 tags of a secret are 19 KB, and a page is parsed in one turn of the loop: where tags are
 * many, pages are small, at the price of more calls. Bytes are those of the tags, which are most of a page when it is large.
 */
export function nextPageSize(size: number, bytes: number): number {
  if (bytes > LARGE_BYTES) return Math.max(LEAST, Math.floor((size * LARGE_BYTES) / bytes));
  return bytes < LARGE_BYTES / 2 ? Math.min(MOST, size * 2) : size;
}

/** Quota of ListSecrets: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html */
export const MOST = 100;
const LEAST = 10;
const LARGE_BYTES = 512 * 1024;
