// How loss marks name what was lost: bounded, the most affected first.

/** Names in one loss mark; the rest is in its count. */
export const MAX_LOSS_NAMES = 100
/** Loss marks that status and `log info` show, the newest ones. */
export const MAX_SHOWN_LOSSES = 20

/** For LossMark.topics and LossMark.devices; undefined when there is nothing to name. */
export const mostAffected = (counts: ReadonlyMap<string, number>): Record<string, number> | undefined => {
  if (counts.size === 0) return undefined
  const sorted = [...counts].sort(([, one], [, other]) => other - one)
  return Object.fromEntries(sorted.slice(0, MAX_LOSS_NAMES))
}
