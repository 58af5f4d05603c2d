// The page of the API's documents at /v1/docs. What makes it is loaded when somebody asks for it first: few
// members are ever asked, and each would start later and be larger for it.
import fastifySwagger, { type StaticDocumentSpec } from "@fastify/swagger";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";

/** Headers that each answer has anew. */
const OF_ONE_ANSWER = new Set(["connection", "content-length", "date", "transfer-encoding"]);
const PREFIX = "/v1/docs";

export async function docsRoutes(app: FastifyInstance): Promise<void> {
  let page: Promise<FastifyInstance> | undefined;
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    page ??= openPage(app);
    const made = await (await page).inject({ method: "GET", url: request.url, headers: request.headers });
    for (const [name, value] of Object.entries(made.headers))
      if (!OF_ONE_ANSWER.has(name)) reply.header(name, value);
    return reply.code(made.statusCode).send(made.rawPayload);
  };
  for (const path of [PREFIX, `${PREFIX}/*`]) app.get(path, { schema: { hide: true } }, answer);
  app.addHook("onClose", async () => (await page)?.close());
}

/** An application of its own, behind the first one's doors. */
async function openPage(app: FastifyInstance): Promise<FastifyInstance> {
  const { default: fastifySwaggerUi } = await import("@fastify/swagger-ui");
  const page = Fastify();
  const document = app.swagger() as StaticDocumentSpec["document"];
  await page.register(fastifySwagger, { mode: "static", specification: { document } });
  await page.register(fastifySwaggerUi, { routePrefix: PREFIX, uiConfig: { tryItOutEnabled: true } });
  await page.ready();
  return page;
}
