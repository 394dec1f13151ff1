// Globs over names whose parts stand between dots: `*` is any part of one part, `**` any number of parts, none included.

/** Fits what any of the globs fits. */
export const globExpression = (globs: readonly string[]): RegExp => new RegExp(globs.map(globSource).join('|'))

// "**." and ".**" match nothing, too: "ENERGY.Power.**" takes ENERGY.Power and ENERGY.Power.0.
const globSource = (glob: string): string => {
  let source = ''
  for (const token of glob.split(/(^\*\*\.|\.\*\*$|\.\*\*\.|^\*\*$|\*)/)) {
    if (token === '**.') source += '(?:.+\\.)?'
    else if (token === '.**') source += '(?:\\..+)?'
    else if (token === '.**.') source += '\\.(?:.+\\.)?'
    else if (token === '**') source += '.*'
    else if (token === '*') source += '[^.]*'
    else source += token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
  }
  return `^${source}$`
}
