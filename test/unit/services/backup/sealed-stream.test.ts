import { randomBytes } from 'node:crypto'
import { Readable, type Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { expect } from 'chai'
import fc from 'fast-check'
import {
  createOpeningStream,
  createSealingStream,
  makeBackupKeys,
  publicKeyOf,
  type BackupKeyPair,
} from '../../../../src/services/backup/sealed-stream.js'
import { rejection } from '../../../support/rejection.js'

const PIECE = 64 * 1024

async function through(stream: Transform, bytes: Buffer, chunk = 10_000): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let start = 0; start < bytes.length; start += chunk) chunks.push(bytes.subarray(start, start + chunk))
  return buffer(Readable.from(chunks).pipe(stream))
}

async function seal(bytes: Buffer, ...keys: BackupKeyPair[]): Promise<Buffer> {
  return through(await createSealingStream(keys.map(({ publicKey }) => publicKey)), bytes)
}

async function open(bytes: Buffer, chunk: number, ...keys: BackupKeyPair[]): Promise<Buffer> {
  return through(await createOpeningStream(keys.map(({ secretKey }) => secretKey)), bytes, chunk)
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = (await rejection(work)) as Error
  expect(error.name).to.equal('ArchiveError')
  return error.message
}

describe('sealed streams', () => {
  let keys: BackupKeyPair
  let others: BackupKeyPair
  before(async () => {
    keys = await makeBackupKeys()
    others = await makeBackupKeys()
  })

  it('are opened with the secret key, whatever their length and however they come', async () => {
    const lengths = fc.oneof(
      fc.nat(200),
      fc.constantFrom(PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7),
    )
    await fc.assert(
      fc.asyncProperty(lengths, fc.constantFrom(97, 4096, 70_000), async (length, chunk) => {
        const bytes = randomBytes(length)
        const sealed = await seal(bytes, keys)
        expect((await open(sealed, chunk, keys)).equals(bytes)).to.equal(true)
      }),
      { numRuns: 12 },
    )
  })

  it('show nothing of their content', async () => {
    const sealed = await seal(Buffer.alloc(1000, 'secret'), keys)
    expect(sealed.includes('secretsecret')).to.equal(false)
    expect(sealed.toString('latin1')).to.match(/^mxhs-sealed-1\n\[/)
  })

  it('can have several owners', async () => {
    const sealed = await seal(Buffer.from('x'), keys, others)
    expect((await open(sealed, 100, others)).toString()).to.equal('x')
    expect((await open(sealed, 100, await makeBackupKeys(), keys)).toString()).to.equal('x')
  })

  it('are closed to everybody else, and say whose they are', async () => {
    const sealed = await seal(Buffer.from('x'), keys)
    expect(await refusal(open(sealed, 100, others))).to.equal(
      `The key does not fit: the archive is sealed to ${keys.publicKey}`,
    )
    expect(await refusal(open(sealed, 100))).to.equal(
      `The archive is sealed: give the secret key of ${keys.publicKey}`,
    )
  })

  it('are refused when a byte has changed, wherever it is', async () => {
    const sealed = await seal(randomBytes(PIECE + 500), keys)
    for (const at of [20, 60, 200, sealed.length - PIECE, sealed.length - 517, sealed.length - 1]) {
      const changed = Buffer.from(sealed)
      changed[at] = changed[at]! ^ 1
      await refusal(open(changed, 5000, keys))
    }
  })

  it('are refused when they are cut, also between two pieces, or go on behind their end', async () => {
    const sealed = await seal(randomBytes(PIECE + 500), keys)
    for (const end of [10, 100, 250, sealed.length - 517, sealed.length - 100, sealed.length - 1]) {
      await refusal(open(sealed.subarray(0, end), 5000, keys))
    }
    await refusal(open(Buffer.concat([sealed, Buffer.from('more')]), 5000, keys))
  })

  it('take no key for the other', async () => {
    expect(await publicKeyOf(keys.secretKey)).to.equal(keys.publicKey)
    expect(await refusal(createSealingStream([keys.secretKey]))).to.equal(
      'This is no public key of backups: it begins with mxhs-backup-public-',
    )
    expect(await refusal(createOpeningStream([keys.publicKey]))).to.equal(
      'This is no secret key of backups: it begins with mxhs-backup-secret-',
    )
    await refusal(createSealingStream(['mxhs-backup-public-abc']))
  })
})
