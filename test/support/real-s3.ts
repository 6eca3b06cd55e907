import { createRequire } from 'node:module'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** As much of the package s3rver as is used here. */
interface S3rver {
  run(): Promise<{ port: number }>
  close(): Promise<void>
}
type S3rverConstructor = new (options: object) => S3rver

/** A server of S3 by others than us. It does not check signatures of version 4. */
export interface RealS3 extends AsyncDisposable {
  /** The `config` of a provider of `media_storage_providers`. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** Starts the package s3rver, which has no types, with an empty bucket. */
export async function startRealS3(): Promise<RealS3> {
  const S3rver = createRequire(import.meta.url)('s3rver') as S3rverConstructor
  const directory = await mkdtemp(join(tmpdir(), 'mxhs-s3-'))
  const bucket = 'media'
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: bucket }],
  })
  const { port } = await server.run()
  return {
    settings: {
      bucket,
      prefix: 'of a server/',
      region_name: 'us-east-1',
      endpoint_url: `http://127.0.0.1:${port}`,
      access_key_id: 'S3RVER',
      secret_access_key: 'S3RVER',
    },
    async [Symbol.asyncDispose]() {
      await server.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
