import { constants } from 'node:fs'
import { copyFile, open, readFile, rename, stat } from 'node:fs/promises'
import { configFilesAt } from '../config/config-files.js'
import { migrateKeys, type KeyChange, type MigratedText } from '../config/migrate-keys.js'
import { YamlSource } from '../config/yaml-source.js'
import { CommandFailure } from './failures.js'

/** What became of one file of a configuration. */
export interface MigratedFile {
  readonly file: string
  readonly changes: readonly KeyChange[]
  /** Old keys that only somebody who knows what was meant can replace. */
  readonly byHand: MigratedText['byHand']
  /** The file as it was; null where nothing has been written. */
  readonly backup: string | null
}

/**
 * Replaces old keys in the files of a configuration; changes nothing without `writes`. What is written has been copied to
 * a backup before, and replaces the file at once. Throws a `CommandFailure` for files that cannot be read or written.
 */
export async function migrateConfig(
  paths: readonly string[],
  { writes }: { readonly writes: boolean },
): Promise<readonly MigratedFile[]> {
  try {
    const files = (await Promise.all(paths.map(configFilesAt))).flat()
    const sources = await Promise.all(
      files.map(async (file) => {
        const text = await readFile(file, 'utf8')
        return { file, text, keys: Object.keys(new YamlSource(file, text).values) }
      }),
    )
    const migrated: MigratedFile[] = []
    for (const { file, text } of sources) {
      const others = new Set(sources.filter((other) => other.file !== file).flatMap(({ keys }) => keys))
      const { text: after, changes, byHand } = migrateKeys(text, others)
      const backup = writes && changes.length > 0 ? await replaceFile(file, after) : null
      migrated.push({ file, changes, byHand, backup })
    }
    return migrated
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    throw new CommandFailure((error as Error).message, { cause: error })
  }
}

/** Gives the name of the backup. */
async function replaceFile(file: string, text: string): Promise<string> {
  const backup = await backUp(file)
  const temporary = `${file}.new`
  const { mode, uid, gid } = await stat(file)
  const handle = await open(temporary, 'w', mode & 0o777)
  try {
    // Who reads it must still be able to, where it is not its owner who changes it.
    await handle.chown(uid, gid).catch(() => undefined)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  return backup
}

/** Never over a backup that is there. */
async function backUp(file: string): Promise<string> {
  for (let count = 0; ; count++) {
    const backup = count === 0 ? `${file}.bak` : `${file}.bak.${count}`
    try {
      await copyFile(file, backup, constants.COPYFILE_EXCL)
      return backup
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}
