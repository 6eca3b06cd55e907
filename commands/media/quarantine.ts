import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { mediaChoiceArgs, mediaChoiceFlags } from '../../src/cli/media-choice.js'
import { changeQuarantine, type MediaQuarantined } from '../../src/cli/media-quarantine-command.js'

export default class MediaQuarantine extends BaseCommand {
  static override summary = 'Put files out of reach of everybody.'
  static override description =
    'Files are known by their content: what is equal, or comes later and is equal, is out of reach too. Files that ' +
    'are protected stay as they are. `media release` takes files out again. Done by the server where it runs.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> mxc://example.org/abcdef -c homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --user mallory -c homeserver.yaml',
    "<%= config.bin %> <%= command.id %> --room '!abc:example.org' --json -c homeserver.yaml",
  ]

  static override enableJsonFlag = true
  static override strict = false

  static override args = mediaChoiceArgs

  static override flags = { config: configFlag, ...mediaChoiceFlags }

  async run(): Promise<MediaQuarantined> {
    const { flags, argv } = await this.parse(MediaQuarantine)
    const result = await changeQuarantine({ ...flags, uris: argv as string[] }, true)
    this.log(`${result.changed} files are in quarantine now.`)
    return result
  }
}
