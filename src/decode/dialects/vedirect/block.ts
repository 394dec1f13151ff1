// VE.Direct text blocks found in bytes (VE.Direct Protocol, "Text-mode"): fields "CR LF label TAB value", the last one is
// Checksum, whose value is the byte that makes the sum of the block 0 modulo 256. Frames of the HEX protocol ("HEX-mode",
// from ':' to LF) may stand between fields, and do not count.

export interface Block {
  readonly fields: readonly (readonly [label: string, value: string])[]
}

export interface Blocks {
  readonly blocks: readonly Block[]
  readonly faults: readonly string[]
}

const LABEL = 'Checksum\t'
const CR = 0x0d
const LF = 0x0a
/** The text protocol has no colon; a frame is a command, at least one more digit and the check. */
const HEX_FRAME = /:[0-9A-Fa-f]{2,256}\r?\n/g
/** "Maximum field size": label 8, value 32; today's longer labels leave room. */
const MAX_FIELD = 64

export const parseBlocks = (payload: Buffer): Blocks => {
  const text = payload.toString('latin1')
  const blocks: Block[] = []
  const faults: string[] = []
  let position = 0
  for (let at = text.indexOf(LABEL); at >= 0 && at + LABEL.length < text.length; at = text.indexOf(LABEL, position)) {
    const end = at + LABEL.length + 1
    const fields = text.slice(position, at).replace(HEX_FRAME, '')
    const check = text.charCodeAt(end - 1)
    position = end
    // Who cuts a stream into blocks may leave the first CR LF with the block before.
    const sum = total(leading(fields)) + total(LABEL) + check
    if (sum % 256 === 0) addBlock(fields, blocks, faults)
    else faults.push('the checksum of the block is wrong')
  }
  const rest = text.slice(position).replace(HEX_FRAME, '').trim()
  // Only frames of the HEX protocol are no text block, and no fault.
  if (rest !== '')
    faults.push(blocks.length + faults.length === 0 ? 'there is no block with a checksum' : 'a block is cut off')
  return { blocks, faults }
}

const leading = (fields: string): string =>
  fields.charCodeAt(0) === CR ? fields : fields.charCodeAt(0) === LF ? `\r${fields}` : `\r\n${fields}`

const addBlock = (text: string, blocks: Block[], faults: string[]): void => {
  const fields: (readonly [string, string])[] = []
  for (const line of text.split('\r\n')) {
    if (line === '') continue
    const tab = line.indexOf('\t')
    if (tab <= 0 || line.length > MAX_FIELD) faults.push('a line of the block is no field')
    else fields.push([line.slice(0, tab), line.slice(tab + 1)])
  }
  blocks.push({ fields })
}

const total = (text: string): number => {
  let sum = 0
  for (let index = 0; index < text.length; index++) sum += text.charCodeAt(index)
  return sum
}
