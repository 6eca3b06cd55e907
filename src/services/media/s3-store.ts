import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type * as sdkOf from '@aws-sdk/client-s3'
import type { S3Client } from '@aws-sdk/client-s3'
import type { Clock } from '../../util/clock.js'
import type { ByteRange, FileStore, LinkHeaders, StoredFile } from './file-store.js'
import { signedLink } from './s3-link.js'

/** Where a bucket is, and who may use it. What is left out comes from the environment, as for all programs of AWS. */
export interface S3Settings {
  readonly bucket: string
  /** In front of all keys. */
  readonly prefix: string
  readonly region: string | undefined
  /** Of others than AWS. */
  readonly endpoint: string | undefined
  readonly credentials:
    | {
        readonly accessKeyId: string
        readonly secretAccessKey: string
        readonly sessionToken: string | undefined
      }
    | undefined
  readonly storageClass: string | undefined
  /** Who asks for a file may be given a link to it; undefined: no links. */
  readonly links: S3Links | undefined
}

/** Links with which files are read without further credentials. */
export interface S3Links {
  /** Where clients reach the bucket's server, where that is not `endpoint`. */
  readonly endpoint: string | undefined
  /** How long a link is good. */
  readonly lifetimeMs: number
}

const silence = (): void => undefined
/** What goes wrong is thrown: the SDK need not say so on the console. */
const SILENT = { trace: silence, debug: silence, info: silence, warn: silence, error: silence }

type Sdk = typeof sdkOf

interface Connection {
  readonly sdk: Sdk
  readonly client: S3Client
}

/** Where there is none, the SDK asks the machine that it runs on, which may be nobody's cloud. */
const DEFAULT_REGION = 'us-east-1'

/** A bucket of S3, or of what speaks its protocol. The SDK is loaded when the first file comes or goes. */
export class S3Store implements FileStore {
  readonly name: string
  readonly #settings: S3Settings
  readonly #clock: Pick<Clock, 'now'>
  #connection: Promise<Connection> | undefined

  constructor(settings: S3Settings, clock: Pick<Clock, 'now'>) {
    this.#settings = settings
    this.#clock = clock
    this.name = `s3://${settings.bucket}/${settings.prefix}`
  }

  async put(key: string, path: string): Promise<void> {
    const { sdk, client } = await this.#connect()
    const { size } = await stat(path)
    const { storageClass } = this.#settings
    await client.send(
      new sdk.PutObjectCommand({
        ...this.#objectOf(key),
        Body: createReadStream(path),
        ContentLength: size,
        ...(storageClass === undefined ? {} : { StorageClass: storageClass as never }),
      }),
    )
  }

  async open(key: string, range?: ByteRange): Promise<Readable | undefined> {
    const { sdk, client } = await this.#connect()
    const part = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }
    try {
      const { Body } = await client.send(new sdk.GetObjectCommand({ ...this.#objectOf(key), ...part }))
      return Body as Readable | undefined
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  async stat(key: string): Promise<StoredFile | undefined> {
    const { sdk, client } = await this.#connect()
    try {
      const head = await client.send(new sdk.HeadObjectCommand(this.#objectOf(key)))
      return { key, length: head.ContentLength ?? 0, modifiedTs: head.LastModified?.getTime() ?? 0 }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  /** Nobody is sent to what is not there, so the store is asked first. */
  async link(key: string, headers: LinkHeaders): Promise<string | undefined> {
    const { links, bucket, prefix } = this.#settings
    if (links === undefined || (await this.stat(key)) === undefined) return undefined
    const { client } = await this.#connect()
    const [region, credentials] = await Promise.all([client.config.region(), client.config.credentials()])
    const endpoint = links.endpoint ?? this.#settings.endpoint
    const { url } = client.config.endpointProvider({
      Bucket: bucket,
      Region: region,
      ...(endpoint === undefined ? {} : { Endpoint: endpoint, ForcePathStyle: true }),
    })
    return signedLink({
      base: url,
      key: prefix + key,
      region,
      credentials,
      parameters: {
        'response-content-type': headers.contentType,
        'response-content-disposition': headers.contentDisposition,
        'response-cache-control': headers.cacheControl,
      },
      now: new Date(this.#clock.now()),
      lifetimeSeconds: Math.ceil(links.lifetimeMs / 1000),
    })
  }

  async delete(keys: readonly string[]): Promise<void> {
    const { sdk, client } = await this.#connect()
    for (const key of keys) await client.send(new sdk.DeleteObjectCommand(this.#objectOf(key)))
  }

  async *list(directory: string): AsyncIterable<StoredFile> {
    const { sdk, client } = await this.#connect()
    const { bucket, prefix } = this.#settings
    let token: string | undefined
    do {
      const page = await client.send(
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: `${prefix}${directory}/`,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      )
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined) continue
        yield { key: Key.slice(prefix.length), length: Size ?? 0, modifiedTs: LastModified?.getTime() ?? 0 }
      }
      token = page.NextContinuationToken
    } while (token !== undefined)
  }

  #objectOf(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#settings.bucket, Key: this.#settings.prefix + key }
  }

  #connect(): Promise<Connection> {
    this.#connection ??= connect(this.#settings)
    return this.#connection
  }
}

async function connect({ region, endpoint, credentials }: S3Settings): Promise<Connection> {
  const sdk = await loadSdk()
  const client = new sdk.S3Client({
    region: region ?? DEFAULT_REGION,
    // Others than AWS do not know all checksums that the SDK would send of its own accord.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    logger: SILENT,
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: credentials.secretAccessKey,
            ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
          },
        }),
  })
  return { sdk, client }
}

async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (error) {
    throw new Error('Files in S3 need the package @aws-sdk/client-s3, which is not installed', {
      cause: error,
    })
  }
}

function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } }
  return name === 'NoSuchKey' || name === 'NotFound' || $metadata?.httpStatusCode === 404
}
