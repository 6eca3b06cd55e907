import { administrate, loadForAdministration } from './administration.js'
import { CommandFailure } from './failures.js'
import { configPaths } from './config-paths.js'
import { namedFiles, onlyChoice } from './media-choice.js'

/** What became of files. */
export interface MediaQuarantined {
  /** How many files were meant. */
  readonly total: number
  /** How many have changed: these, and others with the same content. */
  readonly changed: number
}

/** Puts files into quarantine or takes them out. Throws a `CommandFailure` where a file that was named is not here. */
export async function changeQuarantine(
  given: {
    readonly uris: readonly string[]
    readonly user?: string | undefined
    readonly room?: string | undefined
    readonly config: string[] | undefined
  },
  isQuarantined: boolean,
): Promise<MediaQuarantined> {
  const config = await loadForAdministration(configPaths(given.config))
  const choice = onlyChoice(namedFiles(given, config), 'their URIs, --user or --room')
  const result = await administrate(config, 'media.quarantine', { choice, isQuarantined })
  const answer = { total: Number(result['total']), changed: Number(result['changed']) }
  if (choice['kind'] === 'ids' && answer.total === 0) throw new CommandFailure('There are no such files')
  return answer
}
