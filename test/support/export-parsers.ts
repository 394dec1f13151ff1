// Readers of what `log export` writes that share nothing with the writers: RFC 4180, line protocol, RFC 8428.

/** Rows of cells. */
export const parseCsv = (text: string): string[][] => {
  const rows: string[][] = []
  let row: string[] = []
  let cell = ''
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (quoted) {
      if (character !== '"') cell += character
      else if (text[at + 1] === '"') {
        cell += '"'
        at++
      } else quoted = false
    } else if (character === '"' && cell === '') quoted = true
    else if (character === ',') {
      row.push(cell)
      cell = ''
    } else if (character === '\r' && text[at + 1] === '\n') {
      rows.push([...row, cell])
      row = []
      cell = ''
      at++
    } else if (character === '"' || character === '\r' || character === '\n')
      throw new Error(`a bare ${JSON.stringify(character)} at ${at}`)
    else cell += character
  }
  if (quoted || row.length > 0 || cell !== '') throw new Error('the last row does not end')
  return rows
}

export interface Point {
  readonly measurement: string
  readonly tags: Readonly<Record<string, string>>
  readonly fields: Readonly<Record<string, number | string | boolean>>
  readonly nanoseconds: bigint
}

/** One line; a backslash escapes comma, space and equals sign outside of strings, quote and backslash inside. */
export const parseLine = (line: string): Point => {
  let at = 0
  const until = (stops: string): string => {
    let text = ''
    while (at < line.length && !stops.includes(line[at] as string)) {
      // As InfluxDB does it: whatever follows a backslash never ends a word.
      if (line[at] === '\\' && at + 1 < line.length) {
        if (!', ='.includes(line[at + 1] as string)) text += '\\'
        at++
      }
      text += line[at++]
    }
    return text
  }
  const measurement = until(', ')
  const tags: Record<string, string> = {}
  while (line[at] === ',') {
    at++
    const key = until('=, ')
    if (line[at++] !== '=') throw new Error(`no = in a tag of ${line}`)
    const value = until(', =')
    if (key === '' || value === '') throw new Error(`an empty tag in ${line}`)
    tags[key] = value
  }
  const fields: Record<string, number | string | boolean> = {}
  do {
    at++
    const key = until('=, ')
    if (line[at++] !== '=') throw new Error(`no = in a field of ${line}`)
    if (line[at] === '"') {
      let text = ''
      for (at++; line[at] !== '"'; at++) {
        if (at >= line.length) throw new Error(`a string does not end in ${line}`)
        if (line[at] === '\\' && '\\"'.includes(line[at + 1] ?? ' ')) at++
        text += line[at]
      }
      at++
      fields[key] = text
    } else {
      const text = until(', ')
      if (/^(true|false)$/.test(text)) fields[key] = text === 'true'
      else if (/^-?\d+i$/.test(text)) fields[key] = Number(text.slice(0, -1))
      else if (/^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) fields[key] = Number(text)
      else throw new Error(`no value: ${text}`)
    }
  } while (line[at] === ',')
  const time = line.slice(at)
  if (!/^ -?\d+$/.test(time)) throw new Error(`no time at the end of ${line}`)
  return { measurement, tags, fields, nanoseconds: BigInt(time.slice(1)) }
}

export interface ResolvedRecord {
  readonly name: string
  readonly value: unknown
  readonly unit?: string
  readonly timeS?: number
  readonly seq: number
}

/** Records of a Pack, base names applied (RFC 8428, 4.6). */
export const resolvePack = (text: string): ResolvedRecord[] => {
  const pack = JSON.parse(text) as Record<string, unknown>[]
  if (!Array.isArray(pack)) throw new Error('a Pack is an array')
  let base = ''
  return pack.map((record) => {
    if (typeof record['bn'] === 'string') base = record['bn']
    return {
      name: `${base}${String(record['n'] ?? '')}`,
      value: record['v'] ?? record['vs'] ?? record['vb'],
      ...(typeof record['u'] === 'string' && { unit: record['u'] }),
      ...(typeof record['t'] === 'number' && { timeS: record['t'] }),
      seq: Number(record['seq']),
    }
  })
}
