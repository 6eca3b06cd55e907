import { Flags } from '@oclif/core'
import { administrate, loadForAdministration } from '../../src/cli/administration.js'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { CommandFailure, UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import { mediaChoiceArgs, mediaChoiceFlags, namedFiles, onlyChoice } from '../../src/cli/media-choice.js'
import { askYesNo, isInteractive } from '../../src/cli/prompts.js'
import { parseDurationMs, parseSize } from '../../src/config/units.js'
import type { JsonObject } from '../../src/util/json.js'
import { systemClock } from '../../src/util/clock.js'

interface MediaDeleted {
  /** False with --dry-run. */
  readonly deleted: boolean
  readonly total: number
  /** The first thousand. */
  readonly files: readonly string[]
}

interface OldFlags {
  readonly 'older-than': string | undefined
  readonly 'larger-than': string | undefined
  readonly remote: boolean
  readonly avatars: boolean
}

const WAYS = 'their URIs, --user, --room, --older-than, --larger-than, --redacted or --erased'

export default class MediaDelete extends BaseCommand {
  static override summary = 'Delete files for good.'
  static override description =
    'Files go from all stores, with their thumbnails; content that others have uploaded too stays until the last of ' +
    'them goes. Asks first if there is a terminal, and wants --yes where there is none; --dry-run only says what ' +
    'would go. Files that are protected or in quarantine, and pictures of people and rooms, survive --older-than and ' +
    '--larger-than. --redacted means what redacted messages named and nothing else uses that the server can read; ' +
    '--erased what erased users have uploaded, but for pictures that rooms still show. Messages that are encrypted ' +
    'name their files where no server can read it. Done by the server where it runs.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> mxc://example.org/abcdef -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --user mallory --yes -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --older-than 365d --larger-than 10M --dry-run -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --remote --older-than 30d --yes -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --redacted --yes --json -c homeserver.yaml',
  ]

  static override enableJsonFlag = true
  static override strict = false

  static override args = mediaChoiceArgs

  static override flags = {
    config: configFlag,
    ...mediaChoiceFlags,
    'older-than': Flags.string({
      helpValue: 'TIME',
      description: 'what nobody has asked for as long as this: 24h, 90d',
    }),
    'larger-than': Flags.string({
      helpValue: 'SIZE',
      description: 'only what is larger than this: 500K, 10M',
    }),
    remote: Flags.boolean({
      default: false,
      description: 'with --older-than: what is kept of other servers, and fetched again when somebody asks',
    }),
    avatars: Flags.boolean({
      default: false,
      description: 'with --older-than: pictures of people and rooms too',
    }),
    redacted: Flags.boolean({ default: false, description: 'what redacted messages have left' }),
    erased: Flags.boolean({ default: false, description: 'what erased users have left' }),
    'dry-run': Flags.boolean({ default: false, description: 'change nothing' }),
    yes: Flags.boolean({ default: false, char: 'y', description: 'do not ask' }),
  }

  async run(): Promise<MediaDeleted> {
    const { flags, argv } = await this.parse(MediaDelete)
    const config = await loadForAdministration(configPaths(flags.config))
    const named = namedFiles({ ...flags, uris: argv as string[] }, config)
    const choice = onlyChoice(
      [
        ...named,
        ...oldFiles(flags),
        ...(flags.redacted ? [{ kind: 'redacted' }] : []),
        ...(flags.erased ? [{ kind: 'erased' }] : []),
      ],
      WAYS,
    )
    const run = async (dryRun: boolean): Promise<MediaDeleted> => {
      const { total, files } = await administrate(config, 'media.delete', { choice, dryRun })
      return { deleted: !dryRun, total: Number(total), files: files as string[] }
    }
    if (!flags['dry-run'] && !flags.yes) await confirm(() => run(true))
    const result = await run(flags['dry-run'])
    if (choice['kind'] === 'ids' && result.total === 0) throw new CommandFailure('There are no such files')
    if (!this.jsonEnabled()) this.#print(result)
    return result
  }

  #print({ deleted, total, files }: MediaDeleted): void {
    for (const uri of files) this.log(uri)
    if (total > files.length) this.log(`and ${total - files.length} more`)
    this.note(deleted ? `${total} files are deleted.` : `${total} files would be deleted.`)
  }
}

function oldFiles(flags: OldFlags): JsonObject[] {
  const { 'older-than': age, 'larger-than': size } = flags
  if (age === undefined && size === undefined) {
    if (flags.remote || flags.avatars) throw new UsageError('--remote and --avatars go with --older-than')
    return []
  }
  const idleMs = age === undefined ? 0 : parseDurationMs(age)
  if (idleMs === undefined || idleMs < 0) throw new UsageError(`${age!} is no duration: write 90m, 24h or 7d`)
  const largerThan = size === undefined ? undefined : parseSize(size)
  if (size !== undefined && (largerThan === undefined || largerThan < 0)) {
    throw new UsageError(`${size} is no size: write 500K or 10M`)
  }
  const old = {
    origin: flags.remote ? 'remote' : 'local',
    accessedBefore: Math.round(systemClock.now() - idleMs),
    sparesLasting: !flags.avatars,
    ...(largerThan === undefined ? {} : { largerThan }),
  }
  return [{ kind: 'old', old }]
}

async function confirm(look: () => Promise<MediaDeleted>): Promise<void> {
  if (!isInteractive()) throw new UsageError('--yes is missing, and there is no terminal to ask at')
  const { total } = await look()
  if (total === 0) return
  if (!(await askYesNo(`Delete ${total} files for good?`, false))) throw new CommandFailure('Cancelled')
}
