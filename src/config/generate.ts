import { existsSync } from 'node:fs'
import { chmod, mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatSigningKeys, makeSigningKey } from '../protocol/signing-keys.js'
import { randomSeed, randomToken } from '../util/random.js'
import { packageRoot } from '../util/package-root.js'

/** What the configuration of a new server is made of. */
export interface NewServer {
  readonly serverName: string
  readonly reportStats: boolean
  readonly database: NewDatabase
  /** Where it listens, on the loopback address. */
  readonly port: number
  readonly publicBaseUrl: string | undefined
}

export type NewDatabase =
  | { readonly name: 'sqlite'; readonly path: string }
  | {
      readonly name: 'postgres'
      readonly host: string
      readonly port: number
      readonly user: string
      readonly password: string
      readonly database: string
    }

/** Where the other files of a configuration are; undefined: everything is in the one file. */
export interface SideFiles {
  readonly signingKeyPath: string
  readonly logConfigPath: string
}

export interface WrittenFile {
  readonly path: string
  /** It was there and has been left as it was. */
  readonly existed: boolean
}

/** There is a configuration already. */
export class ConfigExistsError extends Error {
  override readonly name = 'ConfigExistsError'

  constructor(path: string) {
    super(`${path} exists already and has been left as it is`)
  }
}

const SECRET_LENGTH = 50
const PRIVATE = 0o600
const PUBLIC = 0o644

/** A commented `homeserver.yaml`, with secrets of its own; without side files, with a signing key too. */
export async function renderHomeserverYaml(server: NewServer, side: SideFiles | undefined): Promise<string> {
  return render('homeserver.yaml.njk', {
    ...server,
    side,
    signingKey: side === undefined ? newSigningKey() : undefined,
    secrets: {
      registration: randomToken(SECRET_LENGTH),
      macaroon: randomToken(SECRET_LENGTH),
      form: randomToken(SECRET_LENGTH),
    },
  })
}

/** The text of a key file with a new key: `ed25519 a_AbCd <seed>`. */
export function newSigningKey(version = `a_${randomToken(4)}`): string {
  return formatSigningKeys([makeSigningKey(version, randomSeed())])
}

/**
 * Writes the configuration of a new server into a directory: `homeserver.yaml` last, so that who finds it finds the
 * others too. A signing key or log configuration that is there is kept. Rejects with a `ConfigExistsError` when there
 * is a `homeserver.yaml`; then nothing is changed.
 */
export async function writeConfig(server: NewServer, directory: string): Promise<readonly WrittenFile[]> {
  const main = join(directory, 'homeserver.yaml')
  const side: SideFiles = {
    signingKeyPath: join(directory, `${server.serverName}.signing.key`),
    logConfigPath: join(directory, `${server.serverName}.log.config`),
  }
  await mkdir(directory, { recursive: true })
  if (existsSync(main)) throw new ConfigExistsError(main)
  const key = await writeIfNew(side.signingKeyPath, { content: newSigningKey(), mode: PRIVATE })
  const log = await writeIfNew(side.logConfigPath, {
    content: await render('log.yaml.njk', { file: join(directory, 'homeserver.log') }),
    mode: PUBLIC,
  })
  const config = await writeIfNew(main, { content: await renderHomeserverYaml(server, side), mode: PRIVATE })
  if (config.existed) throw new ConfigExistsError(main)
  return [config, key, log]
}

/** Writes a file that does not exist yet; one that does is left as it is. */
export async function writeIfNew(
  path: string,
  { content, mode }: { content: string; mode: number },
): Promise<WrittenFile> {
  try {
    const file = await open(path, 'wx', mode)
    await file.writeFile(content).finally(() => file.close())
    // The process' umask may have taken more than it should.
    await chmod(path, mode)
    return { path, existed: false }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { path, existed: true }
  }
}

async function render(name: string, values: object): Promise<string> {
  const { default: nunjucks } = await import('nunjucks')
  const template = await readFile(join(packageRoot(), 'templates', name), 'utf8')
  const environment = new nunjucks.Environment(null, {
    autoescape: false,
    throwOnUndefined: true,
    trimBlocks: true,
    lstripBlocks: true,
  })
  // Every JSON text is YAML too, whatever is in it.
  environment.addFilter('yaml', (value: unknown) => JSON.stringify(value))
  return environment.renderString(template, values)
}
