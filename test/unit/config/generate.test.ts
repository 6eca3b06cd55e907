import { readdirSync, readFileSync, statSync } from 'node:fs'
import { expect } from 'chai'
import {
  ConfigExistsError,
  newSigningKey,
  renderHomeserverYaml,
  writeConfig,
  type NewServer,
} from '../../../src/config/generate.js'
import { loadConfig } from '../../../src/config/load.js'
import { loadLogConfig } from '../../../src/config/log-config.js'
import { loadSigningKeys } from '../../../src/config/signing-key-file.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

const SERVER: NewServer = {
  serverName: 'example.org',
  reportStats: false,
  database: { name: 'sqlite', path: '/var/lib/mxhs/homeserver.db' },
  port: 8008,
  publicBaseUrl: undefined,
}

describe('newSigningKey', () => {
  it('is a key file with a key that nobody has', () => {
    const text = newSigningKey()
    expect(text).to.match(/^ed25519 a_[A-Za-z]{4} [A-Za-z0-9+/]{43}\n$/)
    expect(newSigningKey()).to.not.equal(text)
  })
})

describe('writeConfig', () => {
  const scratch = useScratch()

  it('writes files that load without a warning', async () => {
    const files = await writeConfig(SERVER, scratch.path('new'))
    expect(files.map(({ existed }) => existed)).to.deep.equal([false, false, false])
    const { config, warnings } = await loadConfig([files[0]!.path], { env: {} })
    expect(warnings).to.deep.equal([])
    expect(config.server.serverName).to.equal('example.org')
    expect(config.database).to.include({ path: '/var/lib/mxhs/homeserver.db' })
    expect((await loadSigningKeys(config.signingKeys)).current).to.have.length(1)
    const log = await loadLogConfig(config.logging.configPath)
    expect(log.config.file).to.equal(scratch.path('new/homeserver.log'))
  })

  it('lets nobody else read what is secret', async () => {
    const [config, key] = await writeConfig(SERVER, scratch.directory)
    for (const file of [config, key]) expect(statSync(file!.path).mode & 0o777).to.equal(0o600)
  })

  it('makes secrets that are all different', async () => {
    const text = await renderHomeserverYaml(SERVER, undefined)
    const secrets = [...text.matchAll(/^(?:\w+_secret|macaroon_secret_key): "([A-Za-z]{50})"$/gm)].map(
      ([, it]) => it,
    )
    expect(new Set(secrets).size).to.equal(3)
  })

  it('never overwrites a configuration', async () => {
    const path = scratch.write('homeserver.yaml', 'mine')
    const error = await rejection(writeConfig(SERVER, scratch.directory))
    expect(error).to.be.instanceOf(ConfigExistsError)
    expect(readFileSync(path, 'utf8')).to.equal('mine')
    expect(readdirSync(scratch.directory)).to.deep.equal(['homeserver.yaml'])
  })

  it('keeps a signing key that is there', async () => {
    const key = newSigningKey()
    const path = scratch.write('example.org.signing.key', key)
    const files = await writeConfig(SERVER, scratch.directory)
    expect(files.find((file) => file.path === path)?.existed).to.equal(true)
    expect(readFileSync(path, 'utf8')).to.equal(key)
  })

  it('writes whatever is in passwords and names as it is', async () => {
    const password = 'a"b\\c: #{{ x }}\n%\u2028'
    const database = {
      name: 'postgres',
      host: '::1',
      port: 5433,
      user: "o'u",
      password,
      database: 'yes',
    } as const
    const [file] = await writeConfig(
      { ...SERVER, database, publicBaseUrl: 'https://m.example.org/' },
      scratch.directory,
    )
    const { config } = await loadConfig([file!.path], { env: {} })
    expect(config.database).to.deep.include({
      name: 'postgres',
      connection: { host: '::1', port: 5433, user: "o'u", password, database: 'yes' },
    })
    expect(config.server.publicBaseUrl).to.equal('https://m.example.org/')
  })
})
