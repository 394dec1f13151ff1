// Home Assistant's value templates (Jinja2), as far as they only say where a value stands. A template that computes is not
// understood, rather than half understood.

/** Longer ones compute. */
const MAX_TEMPLATE_LENGTH = 300

const WHOLE = /^\{\{\s*value\s*(.*?)\}\}$/s
const PATH = /^\{\{\s*value_json((?:\.[A-Za-z_]\w*|\[\s*(?:'[^']*'|"[^"]*"|\d+)\s*\])+)\s*(.*?)\}\}$/s
const STEP = /\.([A-Za-z_]\w*)|\[\s*(?:'([^']*)'|"([^"]*)"|(\d+))\s*\]/g
/** Those that leave the value what it is, up to its type and its digits. */
const FILTERS = /^(?:\|\s*(?:float|int|round|default|string|is_defined|trim)\b\s*(?:\([^()]*\)\s*)?)*$/

/** whole: the payload is the value. path: in JSON. none: it cannot be said. */
export type Place =
  | { readonly kind: 'whole' }
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'none' }

export const templatePlace = (template: string | undefined): Place => {
  if (template === undefined || template.trim() === '') return { kind: 'whole' }
  if (template.length > MAX_TEMPLATE_LENGTH) return { kind: 'none' }
  const text = template.trim()
  const whole = WHOLE.exec(text)
  if (whole !== null && FILTERS.test(whole[1] ?? '')) return { kind: 'whole' }
  const inJson = PATH.exec(text)
  if (inJson?.[1] === undefined || !FILTERS.test(inJson[2] ?? '')) return { kind: 'none' }
  const steps = Array.from(inJson[1].matchAll(STEP), (match) => match[1] ?? match[2] ?? match[3] ?? match[4] ?? '')
  return { kind: 'path', path: steps.join('.') }
}
