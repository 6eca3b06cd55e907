import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/util/clock.js'
import { encodeBase64 } from '../../src/util/base64.js'
import type { LogOutput } from '../../src/telemetry/logger.js'
import type { DatabaseKind } from './databases.js'
import { FakeHomeserver, type FakeHomeserverOptions } from './fake-homeserver.js'
import { FederationAnswers } from './federation-answers.js'
import { startHomeserver, type TestHomeserver } from './homeserver.js'
import { TestAuthority } from './test-authority.js'
import { TestNetwork } from './test-network.js'

export interface FederationOptions {
  /** Keys of homeserver.yaml that differ from those of the test servers: of all, or by the server's name. */
  readonly config?: Readonly<Record<string, unknown>>
  readonly configOf?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly database?: DatabaseKind
  readonly clock?: Clock
  readonly log?: LogOutput
}

/**
 * Real servers in this process that federate over TLS on loopback, with certificates of an authority that they all
 * trust: `await using servers = await startFederation(['a.test', 'b.test'])`, then `const [a, b] = servers.list`. What they
 * answer each other must have the shape that the specification says: otherwise disposing of them throws.
 */
export async function startFederation(
  names: readonly string[],
  options: FederationOptions = {},
): Promise<TestFederation> {
  const federation = new TestFederation(new TestAuthority(), options)
  try {
    for (const name of names) await federation.add(name)
    return federation
  } catch (error) {
    await federation[Symbol.asyncDispose]()
    throw error
  }
}

export class TestFederation implements AsyncDisposable {
  readonly authority: TestAuthority
  readonly network = new TestNetwork()
  readonly #options: FederationOptions
  readonly #directory = mkdtempSync(join(tmpdir(), 'mxhs-federation-'))
  readonly #servers = new Map<string, TestHomeserver>()
  readonly #fakes: FakeHomeserver[] = []
  readonly #answers = new FederationAnswers((name) => this.#servers.has(name))

  constructor(authority: TestAuthority, options: FederationOptions) {
    this.authority = authority
    this.#options = options
    writeFileSync(this.authorityPath, authority.certificate)
  }

  /** The file with the authority's certificate, for `federation_custom_ca_list`. */
  get authorityPath(): string {
    return join(this.#directory, 'authority.pem')
  }

  /** The real servers, in the order in which they came. */
  get list(): TestHomeserver[] {
    return [...this.#servers.values()]
  }

  /** A real server by its name. */
  get(name: string): TestHomeserver {
    const server = this.#servers.get(name)
    if (server === undefined) throw new Error(`There is no server ${name}`)
    return server
  }

  /** Starts another real server. */
  async add(name: string): Promise<TestHomeserver> {
    const { config, configOf, ...overrides } = this.#options
    const { certificatePath, privateKeyPath } = this.issueCertificate(name)
    const server = await startHomeserver({
      ...overrides,
      dns: this.network.dnsOf(name),
      config: {
        server_name: name,
        listeners: LISTENERS,
        tls_certificate_path: certificatePath,
        tls_private_key_path: privateKeyPath,
        federation_custom_ca_list: [this.authorityPath],
        ip_range_blacklist: [],
        signing_key: `ed25519 a_${name.replace(/\W/g, '_')} ${seedOf(name)}`,
        ...config,
        ...configOf?.[name],
      },
    })
    this.#servers.set(name, server)
    this.network.add(name, () => federationPortOf(server))
    return server
  }

  /** Puts a new certificate where the server finds it when it is told to read it. */
  issueCertificate(name: string): { certificate: string; certificatePath: string; privateKeyPath: string } {
    const { certificate, privateKey } = this.authority.issue([name])
    return {
      certificate,
      certificatePath: this.#write(`${name}.crt`, certificate),
      privateKeyPath: this.#write(`${name}.key`, privateKey),
    }
  }

  /** Starts a server that does what the test says. */
  async fake(
    name: string,
    options: Omit<FakeHomeserverOptions, 'authority' | 'network'> = {},
  ): Promise<FakeHomeserver> {
    const fake = await FakeHomeserver.start(name, {
      ...options,
      authority: this.authority,
      network: this.network,
    })
    this.#fakes.push(fake)
    return fake
  }

  /** Cuts two servers off from each other. */
  cut(a: string, b: string): Promise<void> {
    return this.network.cut(a, b)
  }

  heal(a: string, b: string): Promise<void> {
    return this.network.heal(a, b)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#answers[Symbol.dispose]()
    await Promise.all(this.list.map((server) => server[Symbol.asyncDispose]()))
    await Promise.all(this.#fakes.map((fake) => fake[Symbol.asyncDispose]()))
    await this.network[Symbol.asyncDispose]()
    rmSync(this.#directory, { recursive: true, force: true })
    this.#answers.check()
  }

  #write(name: string, content: string): string {
    const path = join(this.#directory, name)
    writeFileSync(path, content)
    return path
  }
}

/** For clients without TLS, for servers with it. */
const LISTENERS = [
  {
    port: 0,
    type: 'http',
    bind_addresses: ['127.0.0.1'],
    x_forwarded: true,
    resources: [{ names: ['client', 'media', 'metrics', 'static'] }],
  },
  {
    port: 0,
    type: 'http',
    tls: true,
    bind_addresses: ['127.0.0.1'],
    resources: [{ names: ['federation', 'keys', 'openid'] }],
  },
]

/** Where a server listens for others. */
function federationPortOf(server: TestHomeserver): number {
  for (const address of server.server.addresses) {
    if ('url' in address && address.url.startsWith('https:')) return Number(new URL(address.url).port)
  }
  throw new Error('The server has no listener with TLS')
}

function seedOf(name: string): string {
  return encodeBase64(createHash('sha256').update(name).digest())
}
