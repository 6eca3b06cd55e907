import { chown, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { randomToken } from '../util/random.js'

/**
 * Puts new content in the place of a file's at once: whoever opens it, whatever happens, finds either the old or the
 * new. Owner and permissions stay; where the path is a link, it stays one.
 */
export async function replaceFile(path: string, content: string): Promise<void> {
  const target = await realpath(path)
  const { mode, uid, gid } = await stat(target)
  const unfinished = `${target}.${randomToken(8)}.part`
  try {
    const file = await open(unfinished, 'wx', mode & 0o777)
    try {
      await file.writeFile(content)
      await file.chmod(mode & 0o777)
      await file.sync()
    } finally {
      await file.close()
    }
    // Only root may give files away, and only root finds those of others here.
    if (process.geteuid?.() === 0) await chown(unfinished, uid, gid)
    await rename(unfinished, target)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
}
