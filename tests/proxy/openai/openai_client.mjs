// What the official Node client makes of our answers, as one line of JSON. Run by test_node_client.py with the folder
// of the package, the address of the workbench and its token, and a folder with picture.png and mask.png.
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, baseURL, apiKey, pictures] = process.argv.slice(2);
const { default: OpenAI, toFile } = await import(
  pathToFileURL(createRequire(`${modules}/`).resolve('openai')).href
);
const client = new OpenAI({ baseURL, apiKey });
const file = (name) => toFile(createReadStream(`${pictures}/${name}`), name, { type: 'image/png' });
const small = { steps: 2, seed: 3 };
const told = {};

const generated = await client.images.generate({
  model: 'gpt-image-1', prompt: 'a red house', n: 1, background: 'auto', output_format: 'webp',
  output_compression: 100, quality: 'auto', size: '256x256', ...small,
});
told.generated = generated.data.map((each) => each.b64_json);

const linked = await client.images.generate({
  model: 'dall-e-3', quality: 'standard', style: 'vivid', size: '256x256', prompt: 'a cat', n: 1, ...small,
});
const fetched = await fetch(linked.data[0].url);
told.fetched = Buffer.from(await fetched.arrayBuffer()).toString('base64');

const edited = await client.images.edit({
  model: 'gpt-image-1', image: [await file('picture.png'), await file('picture.png')], mask: await file('mask.png'),
  prompt: 'the sea', ...small,
});
told.edited = edited.data.map((each) => each.b64_json);

told.streamed = [];
const stream = await client.images.generate({
  prompt: 'a red house', size: '256x256', stream: true, partial_images: 2, steps: 12,
});
for await (const event of stream) {
  told.streamed.push([event.type, event.partial_image_index ?? null, event.b64_json]);
}

told.refused = await client.images.generate({ prompt: 'a cat', size: 'huge' }).catch((failure) => ({
  name: failure.constructor.name, status: failure.status, param: failure.param, code: failure.code,
}));
process.stdout.write(JSON.stringify(told));
