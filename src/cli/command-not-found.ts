import type { Hook } from '@oclif/core'
import { nearestOf } from '../util/edit-distance.js'

/**
 * Says what is wrong with a command line that names no command, and ends with exit code 2. Words after a command that
 * takes none look to oclif like a part of its name.
 */
export const commandNotFound: Hook.CommandNotFound = async function ({ id, config }) {
  process.stderr.write(`error: ${explainUnknown(id, config.commandIDs)}\n`)
  await Promise.resolve()
  this.exit(2)
}

/** `id` and the known IDs have a colon between their words. */
export function explainUnknown(id: string, known: readonly string[]): string {
  const words = id.split(':')
  for (let length = words.length - 1; length > 0; length--) {
    const start = words.slice(0, length).join(':')
    if (!known.includes(start)) continue
    const rest = words.slice(length).join(':')
    return `mxhs ${named(start)} takes no argument, and was given ${rest} (mxhs ${named(start)} --help says what it takes)`
  }
  const nearest = nearestOf(id, known)
  const guess = nearest === undefined ? 'mxhs --help lists all' : `did you mean mxhs ${named(nearest)}?`
  return `there is no command mxhs ${named(id)}: ${guess}`
}

function named(id: string): string {
  return id.replaceAll(':', ' ')
}
