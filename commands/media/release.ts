import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { mediaChoiceArgs, mediaChoiceFlags } from '../../src/cli/media-choice.js'
import { changeQuarantine, type MediaQuarantined } from '../../src/cli/media-quarantine-command.js'

export default class MediaRelease extends BaseCommand {
  static override summary = 'Take files out of quarantine.'
  static override description =
    'These, and all others with the same content. Done by the server where it runs.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> mxc://example.org/abcdef -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --user alice --json -c homeserver.yaml',
  ]

  static override enableJsonFlag = true
  static override strict = false

  static override args = mediaChoiceArgs

  static override flags = { config: configFlag, ...mediaChoiceFlags }

  async run(): Promise<MediaQuarantined> {
    const { flags, argv } = await this.parse(MediaRelease)
    const result = await changeQuarantine({ ...flags, uris: argv as string[] }, false)
    this.log(`${result.changed} files are out of quarantine now.`)
    return result
  }
}
