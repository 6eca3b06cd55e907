import { Args, Flags } from '@oclif/core'
import { BaseCommand, configFlag } from '../../src/cli/base-command.js'
import { UsageError } from '../../src/cli/failures.js'
import { configPaths } from '../../src/cli/config-paths.js'
import type { SignedAnswer } from '../../src/cli/federation-requests.js'

export default class FederationRequest extends BaseCommand {
  static override summary = 'Send a signed request to another server.'
  static override description =
    'Signs with the key of the configuration and prints what the server answers. The exit code is 1 when that is an ' +
    'error, or when there is no answer. The request is made in the name of the server: what it changes is changed.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> matrix.org /_matrix/federation/v1/version',
    '<%= config.bin %> <%= command.id %> matrix.org "/_matrix/federation/v1/query/profile?user_id=@alice:matrix.org"',
    `<%= config.bin %> <%= command.id %> matrix.org /_matrix/federation/v1/publicRooms -X POST --data '{"limit":10}'`,
  ]

  static override enableJsonFlag = true

  static override args = {
    server: Args.string({ ignoreStdin: true, required: true, description: "the server's name" }),
    path: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'the path, from /_matrix, with its query, encoded',
    }),
  }

  static override flags = {
    config: configFlag,
    method: Flags.option({
      char: 'X',
      options: ['GET', 'PUT', 'POST'] as const,
      description: 'the method; GET, or POST with --data, unless it is given',
    })(),
    data: Flags.string({ char: 'd', helpValue: 'JSON', description: 'the body, a JSON object' }),
  }

  async run(): Promise<SignedAnswer> {
    const { args, flags } = await this.parse(FederationRequest)
    const { sendSignedRequest } = await import('../../src/cli/federation-requests.js')
    const { optionalConfig, serverNameArgument } = await import('../../src/cli/federation-network.js')
    if (!args.path.startsWith('/_matrix/')) throw new UsageError('The path must begin with /_matrix/')
    const config = (await optionalConfig(configPaths(flags.config)))!
    const answer = await sendSignedRequest(config, {
      serverName: serverNameArgument(args.server),
      method: flags.method ?? (flags.data === undefined ? 'GET' : 'POST'),
      path: args.path,
      body: flags.data,
    })
    if (answer.status > 299) {
      this.note(`The server answers with status ${answer.status}`)
      process.exitCode = 1
    }
    this.log(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body, undefined, 2))
    return answer
  }
}
