import { expect } from 'chai'
import HashPassword from '../../../commands/hash-password.js'
import { BcryptHasher } from '../../../src/util/password-hash.js'
import { runCommand, runProgram } from '../../support/commands.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs hash-password', () => {
  const scratch = useScratch()

  it('hashes with the rounds and the pepper of the configuration', async () => {
    const config = scratch.write(
      'homeserver.yaml',
      'server_name: a.org\nbcrypt_rounds: 5\npassword_config: {pepper: hot}\n',
    )
    const { stdout, exitCode } = await runCommand(HashPassword, '-p', 'secret', '-c', config)
    expect(exitCode).to.equal(0)
    expect(stdout).to.match(/^\$2b\$05\$\S{53}\n$/)
    expect(await new BcryptHasher({ rounds: 4, pepper: 'hot' }).verify('secret', stdout.trim())).to.equal(
      true,
    )
    expect(await new BcryptHasher({ rounds: 4, pepper: '' }).verify('secret', stdout.trim())).to.equal(false)
  })

  it('reads one line of standard input', async () => {
    const { stdout, stderr, exitCode } = await runProgram(['hash-password', '-r', '4'], {
      input: 'pass word\r\nmore\n',
    })
    expect({ stderr, exitCode }).to.deep.equal({ stderr: '', exitCode: 0 })
    expect(await new BcryptHasher({ rounds: 4, pepper: '' }).verify('pass word', stdout.trim())).to.equal(
      true,
    )
  }).timeout(60_000)

  it('says that bcrypt does not see the end of long passwords', async () => {
    const { stderr } = await runCommand(HashPassword, '-r', '4', '-p', 'ä'.repeat(37))
    expect(stderr).to.contain('72 bytes')
  })

  it('refuses an empty password and impossible rounds', async () => {
    expect((await runCommand(HashPassword, '-p', '')).exitCode).to.equal(2)
    expect((await runCommand(HashPassword, '-p', 'a', '-r', '3')).exitCode).to.equal(2)
  })
})
