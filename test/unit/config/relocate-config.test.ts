import { mkdirSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { readConfigBundle, type BundledFile } from '../../../src/config/config-bundle.js'
import { loadSettings } from '../../../src/config/load.js'
import { relocateConfig, type RelocatedConfig } from '../../../src/config/relocate-config.js'
import { useScratch } from '../../support/scratch.js'

describe('the files of a configuration', () => {
  const scratch = useScratch()

  async function bundle(...paths: string[]): Promise<BundledFile[]> {
    return readConfigBundle(paths, await loadSettings(paths))
  }

  function texts({ files }: RelocatedConfig): Record<string, string> {
    return Object.fromEntries(files.map(({ path, content }) => [path, content.toString()]))
  }

  function writeAll(): string {
    mkdirSync(scratch.path('templates'))
    mkdirSync(scratch.path('bridges'))
    mkdirSync(scratch.path('others'))
    scratch.write('templates/mail.html', 'mail')
    scratch.write('bridges/irc.yaml', 'id: irc')
    scratch.write('others/irc.yaml', 'id: other irc')
    scratch.write('form', 'form secret')
    scratch.write('log.yaml', `level: info\nfile: /var/log/mxhs.log # here\n`)
    writeFileSync(scratch.path('key'), 'ed25519 a_x AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n', {
      mode: 0o600,
    })
    return scratch.write(
      'a.yaml',
      `# Mine.
server_name: a.org
pid_file: /run/mxhs.pid
control_socket: /run/mxhs.sock
media_store_path: /srv/media
listeners: [{port: 8008}]
signing_key_path: ${scratch.path('key')}
form_secret_path: ${scratch.path('form')}
log_config: ${scratch.path('log.yaml')}
app_service_config_files: [${scratch.path('bridges/irc.yaml')}, ${scratch.path('others/irc.yaml')}]
templates: {custom_template_directory: ${scratch.path('templates')}}
`,
    )
  }

  it('are those that it names too, each once, with their permissions', async () => {
    const files = await bundle(writeAll())
    expect(files.map(({ path, role }) => [path.slice(scratch.directory.length + 1), role])).to.deep.equal([
      ['a.yaml', 'main'],
      ['key', 'named'],
      ['log.yaml', 'named'],
      ['bridges/irc.yaml', 'named'],
      ['others/irc.yaml', 'named'],
      ['form', 'named'],
      ['templates/mail.html', 'named'],
    ])
    expect(files[1]).to.deep.include({ mode: 0o600, keys: [['signing_key_path']] })
    expect(files[4]).to.deep.include({ keys: [['app_service_config_files', 1]] })
    expect(files[6]).to.deep.include({ within: scratch.path('templates') })
  })

  it('lie together in another directory, and name each other there', async () => {
    const files = await bundle(writeAll())
    const relocated = relocateConfig(files, { directory: '/new', serverName: 'a.org' })
    expect(relocated.paths).to.deep.equal(['/new/homeserver.yaml'])
    const { '/new/homeserver.yaml': main, ...rest } = texts(relocated)
    expect(main).to.equal(`# Mine.
server_name: a.org
pid_file: /new/homeserver.pid
media_store_path: /new/media_store
listeners: [{port: 8008}]
signing_key_path: /new/key
form_secret_path: /new/form
log_config: /new/log.yaml
app_service_config_files: [/new/irc.yaml, /new/irc-2.yaml]
templates: {custom_template_directory: /new/templates}
database:
  args:
    database: /new/homeserver.db
`)
    expect(rest).to.deep.equal({
      '/new/key': 'ed25519 a_x AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n',
      '/new/log.yaml': 'level: info\nfile: /new/mxhs.log # here\n',
      '/new/irc.yaml': 'id: irc',
      '/new/irc-2.yaml': 'id: other irc',
      '/new/form': 'form secret',
      '/new/templates/mail.html': 'mail',
    })
  })

  it('may be several, of which the last counts', async () => {
    mkdirSync(scratch.path('conf.d'))
    scratch.write('a.org.signing.key', 'ed25519 a_x AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n')
    const first = scratch.write('a.yaml', 'server_name: a.org\nmedia_store_path: one\n')
    scratch.write(
      'conf.d/b.yaml',
      `media_store_path: two\ndatabase: {name: psycopg2, args: {dbname: mxhs}}\n`,
    )
    const files = await bundle(first, scratch.path('conf.d'))
    const relocated = relocateConfig(files, { directory: '/new', serverName: 'a.org' })
    expect(relocated.paths).to.deep.equal(['/new/homeserver.d'])
    expect(texts(relocated)).to.deep.equal({
      '/new/homeserver.d/a.org.signing.key': 'ed25519 a_x AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n',
      '/new/homeserver.d/00-a.yaml': 'server_name: a.org\nmedia_store_path: one\n',
      '/new/homeserver.d/01-b.yaml':
        'media_store_path: /new/media_store\ndatabase: {name: psycopg2, args: {dbname: mxhs}}\n',
    })
    const args = { dsn: 'postgres://elsewhere' }
    const moved = relocateConfig(files, {
      directory: '/new',
      serverName: 'a.org',
      database: { name: 'psycopg2', args },
    })
    expect(texts(moved)['/new/homeserver.d/01-b.yaml']).to.contain('dsn: postgres://elsewhere')
  })

  it("have the log of Python's dictionaries in the new directory as well", async () => {
    const log = `version: 1
handlers:
  file:
    class: logging.FileHandler
    filename: /var/log/matrix/homeserver.log
  console: {class: logging.StreamHandler}
`
    scratch.write('log.yaml', log)
    const main = scratch.write('a.yaml', `server_name: a.org\nlog_config: ${scratch.path('log.yaml')}\n`)
    const relocated = relocateConfig(await bundle(main), { directory: '/new', serverName: 'a.org' })
    expect(texts(relocated)['/new/log.yaml']).to.equal(log.replace('/var/log/matrix', '/new'))
  })
})
