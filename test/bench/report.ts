// How the benchmarks print what they found, and what must be ended when they are over.

export const quick = process.argv.includes('--quick')
export const MIB = 2 ** 20

/** What must be ended when the benchmark is over, newest first. */
const endings: (() => Promise<void>)[] = []

/** Stands in for a test where the support of the tests wants one. */
export const scope = {
  teardown: (work: () => Promise<void>) => void endings.unshift(work),
  passing: () => true,
  comment: (text: string) => console.error(text),
}

export const endAll = async (): Promise<void> => {
  for (const end of endings.splice(0)) await end()
}

export const whole = (value: number): string => Math.round(value).toLocaleString('en')
export const line = (label: string, text: string): void => console.log(`${label.padEnd(40)} ${text}`)

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

export const spread = (values: readonly number[], format: (value: number) => string): string => {
  const sorted = values.toSorted((a, b) => a - b)
  return `${format(median(values))} (${format(sorted[0] ?? 0)} to ${format(sorted.at(-1) ?? 0)})`
}
