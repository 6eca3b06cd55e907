import { resolve } from 'node:path'
import { Flags } from '@oclif/core'
import { BaseCommand } from '../src/cli/base-command.js'
import { CommandFailure, UsageError } from '../src/cli/failures.js'
import { askChoice, askNewSecret, askText, isInteractive } from '../src/cli/prompts.js'
import type { NewDatabase, NewServer, WrittenFile } from '../src/config/generate.js'
import { parseServerName } from '../src/protocol/ids.js'

interface Generated {
  /** Absent when the configuration went to standard output. */
  readonly files?: readonly WrittenFile[]
  readonly yaml?: string
}

type DatabaseFlags = Readonly<
  Record<
    'database-path' | 'database-host' | 'database-name' | 'database-user' | 'database-password',
    string | undefined
  >
> & { readonly database: string | undefined; readonly 'database-port': number }

export default class GenerateConfig extends BaseCommand {
  static override summary = 'Write the configuration of a new server.'
  static override description =
    'Makes a commented homeserver.yaml with secrets of its own. With --output, the signing key and the configuration of ' +
    'the log are files beside it; without, everything goes to standard output. Never overwrites anything. What is ' +
    'missing is asked for, if there is a terminal.'

  static override examples = [
    '<%= config.bin %> <%= command.id %> --server-name example.org --output /etc/mxhs',
    '<%= config.bin %> <%= command.id %> --server-name example.org > homeserver.yaml',
    '<%= config.bin %> <%= command.id %> --server-name example.org --output . --database postgres --database-user mxhs --database-name mxhs --database-password secret',
  ]

  static override enableJsonFlag = true

  static override flags = {
    'server-name': Flags.string({
      char: 'H',
      description: 'the domain of all user IDs; it can never be changed',
    }),
    output: Flags.string({ char: 'o', helpValue: 'DIR', description: 'the directory to write into' }),
    'report-stats': Flags.string({
      options: ['yes', 'no'],
      default: 'no',
      description: 'what report_stats is to be; mxhs sends no statistics to anybody',
    }),
    port: Flags.integer({ min: 1, max: 65535, default: 8008, description: 'where to listen' }),
    'public-baseurl': Flags.string({
      helpValue: 'URL',
      description: 'the URL at which clients reach the server',
    }),
    database: Flags.string({
      options: ['sqlite', 'postgres'],
      description: 'where everything is kept (default: sqlite)',
    }),
    'database-path': Flags.string({
      helpValue: 'FILE',
      description: 'SQLite: the file (default: homeserver.db in the directory)',
      helpGroup: 'DATABASE',
    }),
    'database-host': Flags.string({ description: 'PostgreSQL (default: localhost)', helpGroup: 'DATABASE' }),
    'database-port': Flags.integer({
      min: 1,
      max: 65535,
      default: 5432,
      description: 'PostgreSQL',
      helpGroup: 'DATABASE',
    }),
    'database-name': Flags.string({ description: 'PostgreSQL (default: mxhs)', helpGroup: 'DATABASE' }),
    'database-user': Flags.string({ description: 'PostgreSQL (default: mxhs)', helpGroup: 'DATABASE' }),
    'database-password': Flags.string({ description: 'PostgreSQL', helpGroup: 'DATABASE' }),
  }

  async run(): Promise<Generated> {
    const { flags } = await this.parse(GenerateConfig)
    const directory = flags.output === undefined ? undefined : resolve(flags.output)
    const server: NewServer = {
      serverName: await serverNameOf(flags['server-name']),
      reportStats: flags['report-stats'] === 'yes',
      port: flags.port,
      publicBaseUrl: flags['public-baseurl'],
      database: await databaseOf(flags, directory),
    }
    return directory === undefined ? this.#print(server) : this.#write(server, directory)
  }

  async #print(server: NewServer): Promise<Generated> {
    const { renderHomeserverYaml } = await import('../src/config/generate.js')
    const yaml = await renderHomeserverYaml(server, undefined)
    if (!this.jsonEnabled()) process.stdout.write(yaml)
    return { yaml }
  }

  async #write(server: NewServer, directory: string): Promise<Generated> {
    const { ConfigExistsError, writeConfig } = await import('../src/config/generate.js')
    try {
      const files = await writeConfig(server, directory)
      for (const { path, existed } of files) {
        if (existed) this.note(`${path} was there and is kept`)
        else this.log(path)
      }
      this.note(`\nTo start the server: mxhs start -c ${files[0]?.path ?? directory}`)
      return { files }
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (error instanceof ConfigExistsError || code !== undefined) {
        throw new CommandFailure(message, { cause: error })
      }
      throw error
    }
  }
}

async function serverNameOf(given: string | undefined): Promise<string> {
  const check = (name: string): string | undefined =>
    parseServerName(name) === undefined ? 'A server name is a domain, such as example.org' : undefined
  const name = given ?? (await askText({ message: 'Server name', flag: '--server-name', check }))
  const problem = check(name)
  if (problem !== undefined) throw new UsageError(`${name}: ${problem}`)
  return name
}

async function databaseOf(flags: DatabaseFlags, directory: string | undefined): Promise<NewDatabase> {
  const kind = flags.database ?? (await askDatabase())
  if (kind === 'sqlite') {
    return { name: 'sqlite', path: flags['database-path'] ?? resolve(directory ?? '.', 'homeserver.db') }
  }
  const ask = async (
    given: string | undefined,
    question: { message: string; default: string; flag: string },
  ) => given ?? (isInteractive() ? askText(question) : question.default)
  return {
    name: 'postgres',
    host: await ask(flags['database-host'], { message: 'PostgreSQL host', default: 'localhost', flag: '' }),
    port: flags['database-port'],
    database: await ask(flags['database-name'], { message: 'Database', default: 'mxhs', flag: '' }),
    user: await ask(flags['database-user'], { message: 'User of the database', default: 'mxhs', flag: '' }),
    password:
      flags['database-password'] ?? (await askNewSecret('Password of the user', '--database-password')),
  }
}

async function askDatabase(): Promise<string> {
  if (!isInteractive()) return 'sqlite'
  return askChoice('Database', [
    { value: 'sqlite', name: 'SQLite: nothing to set up' },
    { value: 'postgres', name: 'PostgreSQL: for large servers' },
  ])
}
