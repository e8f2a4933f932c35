/* YAML text to a tree, from libyaml's events. Not its document API: that builds the whole tree before anybody can say stop, and leaves
 * aliases to be expanded by the caller. Here an alias shares the node it names, and counts as everything that stands there, so that a
 * text that unfolds to gigabytes ends at 10,000 nodes. What other programs read differently is refused: tags, merge keys, keys twice,
 * several documents. libyaml allocates its own memory: of the order of the text, which is at most 1 MiB. */
#include "recipe/yaml.h"

#include <yaml.h>

typedef struct anchor {
    char *name;
    mc_ynode *node;
    int32_t open; /* 1: inside of it */
} anchor;

typedef struct level { /* a collection that is being read */
    mc_ynode *node;
    int64_t first;   /* its items in `pending` */
    int64_t anchor;  /* index, -1: none */
} level;

typedef struct reader {
    mcomp_recipe *r;
    yaml_parser_t parser;
    level stack[MC_YAML_DEPTH];
    int32_t depth;
    mc_ynode **pending;
    int64_t n_pending, cap_pending;
    anchor *anchors;
    int64_t n_anchors, cap_anchors, nodes, aliases;
    mc_ynode *root;
    int32_t stop; /* 1: nothing more can be read */
} reader;

static mc_text_mark mark_of(yaml_mark_t m) { return (mc_text_mark){(int32_t)m.line + 1, (int32_t)m.column + 1}; }

static int32_t stop_at(reader *y, int32_t code, mc_text_mark at, const char *hint, const char *text)
{
    y->stop = 1;
    return mc_recipe_note_at(y->r, code, at, hint, "%s", text);
}

/* ---- adding nodes ---- */

static int32_t count(reader *y, int64_t more, mc_text_mark at)
{
    y->nodes += more;
    if (y->nodes <= MC_YAML_NODES) return MCOMP_OK;
    return stop_at(y, MCOMP_LIMIT, at, "an alias counts as all that it stands for", "more than 10,000 values");
}

/* A finished node becomes an item of the collection around it, or the document. */
static int32_t add(reader *y, mc_ynode *n, mc_text_mark at)
{
    if (!y->depth) {
        y->root = n;
        return MCOMP_OK;
    }
    if (y->depth + n->height > MC_YAML_DEPTH) return stop_at(y, MCOMP_LIMIT, at, NULL, "nested deeper than 32 levels");
    const int32_t st = mc_grow(&y->pending, &y->cap_pending, y->n_pending + 1, sizeof *y->pending);
    if (st == MCOMP_OK) y->pending[y->n_pending++] = n;
    return st;
}

static int32_t name_anchor(reader *y, const yaml_char_t *name, mc_ynode *n, int32_t open, int64_t *index)
{
    *index = -1;
    if (!name) return MCOMP_OK;
    const int32_t st = mc_grow(&y->anchors, &y->cap_anchors, y->n_anchors + 1, sizeof *y->anchors);
    if (st != MCOMP_OK) return st;
    char *copy = mc_arena_strdup(y->r->arena, (const char *)name);
    if (!copy) return MCOMP_NO_MEMORY;
    y->anchors[y->n_anchors] = (anchor){copy, n, open};
    *index = y->n_anchors++;
    return MCOMP_OK;
}

static int32_t new_node(reader *y, mc_node_kind kind, mc_text_mark at, mc_ynode **out)
{
    mc_ynode *n = mc_arena_alloc(y->r->arena, sizeof *n);
    *out = n;
    if (!n) return MCOMP_NO_MEMORY;
    n->kind = kind;
    n->mark = at;
    n->total = 1;
    return count(y, 1, at);
}

static int32_t no_tag(reader *y, const yaml_char_t *tag, mc_text_mark at)
{
    char shown[80];
    if (!tag) return MCOMP_OK;
    return mc_recipe_note_at(y->r, MCOMP_RECIPE, at, "a key says by itself what its value is", "the tag %s: a recipe has no tags", mc_escape(shown, sizeof shown, (const char *)tag));
}

/* Control characters, line breaks and what YAML itself cannot hold unescaped: nothing that a word, a path or a name has. */
static int has_control(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f) return 1;
        if (p[i] == 0xc2 && p[i + 1] < 0xa0) return 1;                                          /* U+0080..U+009F */
        if (p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] == 0xa8 || p[i + 2] == 0xa9)) return 1; /* U+2028, U+2029 */
        if (p[i] == 0xef && ((p[i + 1] == 0xbb && p[i + 2] == 0xbf) || (p[i + 1] == 0xbf && p[i + 2] >= 0xbe))) return 1; /* U+FEFF, U+FFFE, U+FFFF */
    }
    return 0;
}

static int32_t scalar(reader *y, const yaml_event_t *e)
{
    int32_t st;
    mc_ynode *n;
    int64_t index;
    const mc_text_mark at = mark_of(e->start_mark);
    const size_t len = e->data.scalar.length;
    const char *text = (const char *)e->data.scalar.value;
    if ((st = no_tag(y, e->data.scalar.tag, at)) != MCOMP_OK) return st;
    if ((st = new_node(y, MC_SCALAR, at, &n)) != MCOMP_OK || y->stop) return st;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = "";
    if (len > MC_YAML_SCALAR) st = mc_recipe_note_at(y->r, MCOMP_LIMIT, at, NULL, "a value of %zu bytes; 4,096 are the most", len);
    else if (has_control(text, len)) st = mc_recipe_note_at(y->r, MCOMP_RECIPE, at, "values are on one line", "a line break or another control character in a value");
    else n->text = mc_arena_strdup(y->r->arena, text);
    if (st != MCOMP_OK || !n->text) return st != MCOMP_OK ? st : MCOMP_NO_MEMORY;
    if ((st = name_anchor(y, e->data.scalar.anchor, n, 0, &index)) != MCOMP_OK) return st;
    return add(y, n, at);
}

static int32_t alias(reader *y, const yaml_event_t *e)
{
    char shown[80];
    const char *name = (const char *)e->data.alias.anchor;
    const mc_text_mark at = mark_of(e->start_mark);
    if (++y->aliases > MC_YAML_ALIASES) return stop_at(y, MCOMP_LIMIT, at, NULL, "more than 100 aliases");
    for (int64_t i = y->n_anchors; i-- > 0;) { /* the last of a name counts */
        const anchor *a = &y->anchors[i];
        if (strcmp(a->name, name) != 0) continue;
        if (a->open) break;
        const int32_t st = count(y, a->node->total, at);
        return st != MCOMP_OK || y->stop ? st : add(y, a->node, at);
    }
    y->stop = 1;
    return mc_recipe_note_at(y->r, MCOMP_RECIPE, at, "&name in front of a value names it, *name further down repeats it", "the alias *%s names nothing that is complete here",
                             mc_escape(shown, sizeof shown, name));
}

/* ---- collections ---- */

static int32_t open_collection(reader *y, mc_node_kind kind, const yaml_event_t *e, const yaml_char_t *name, const yaml_char_t *tag)
{
    int32_t st;
    mc_ynode *n;
    int64_t index;
    const mc_text_mark at = mark_of(e->start_mark);
    if ((st = no_tag(y, tag, at)) != MCOMP_OK) return st;
    if (y->depth == MC_YAML_DEPTH) return stop_at(y, MCOMP_LIMIT, at, NULL, "nested deeper than 32 levels");
    if ((st = new_node(y, kind, at, &n)) != MCOMP_OK || y->stop) return st;
    if ((st = name_anchor(y, name, n, 1, &index)) != MCOMP_OK) return st;
    y->stack[y->depth++] = (level){n, y->n_pending, index};
    return MCOMP_OK;
}


/* Keys are texts, each once. */
static int32_t check_keys(reader *y, mc_ynode *n)
{
    int32_t st = MCOMP_OK;
    char shown[80];
    mc_map *seen = mc_map_create();
    if (!seen) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < n->n && st == MCOMP_OK; i++) {
        const mc_ynode *key = n->item[2 * i];
        int64_t line;
        if (key->kind != MC_SCALAR) st = mc_recipe_note_at(y->r, MCOMP_RECIPE, key->mark, NULL, "a key is a word, not a list or a section");
        else if (key->plain && strcmp(key->text, "<<") == 0)
            st = mc_recipe_note_at(y->r, MCOMP_RECIPE, key->mark, "write the keys out", "a merge key: a recipe has none");
        else if (mc_map_get(seen, key->text, &line))
            st = mc_recipe_note_at(y->r, MCOMP_RECIPE, key->mark, "one of them goes", "%s is there twice, first in line %lld", mc_escape(shown, sizeof shown, key->text), (long long)line);
        else st = mc_map_put(seen, key->text, key->mark.line);
    }
    mc_map_destroy(seen);
    return st;
}

static int32_t close_collection(reader *y)
{
    int32_t st = MCOMP_OK;
    const level l = y->stack[--y->depth];
    mc_ynode *n = l.node;
    const int64_t items = y->n_pending - l.first;
    n->item = mc_arena_alloc(y->r->arena, (size_t)(items + 1) * sizeof *n->item);
    if (!n->item) return MCOMP_NO_MEMORY;
    for (int64_t i = 0; i < items; i++) {
        mc_ynode *x = n->item[i] = y->pending[l.first + i];
        n->total += x->total;
        if (x->height + 1 > n->height) n->height = x->height + 1;
    }
    y->n_pending = l.first;
    n->n = n->kind == MC_MAPPING ? items / 2 : items;
    if (l.anchor >= 0) y->anchors[l.anchor].open = 0;
    if (n->kind == MC_MAPPING && (st = check_keys(y, n)) != MCOMP_OK) return st;
    return add(y, n, n->mark);
}

/* ---- the stream ---- */

static int32_t document(reader *y, const yaml_event_t *e)
{
    const mc_text_mark at = mark_of(e->start_mark);
    if (y->root) return stop_at(y, MCOMP_RECIPE, at, "one file a recipe", "a second document begins");
    if (e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
        return mc_recipe_note_at(y->r, MCOMP_RECIPE, at, NULL, "a %%TAG directive: a recipe has no tags");
    return MCOMP_OK;
}

static int32_t take(reader *y, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT: return document(y, e);
    case YAML_SCALAR_EVENT: return scalar(y, e);
    case YAML_ALIAS_EVENT: return alias(y, e);
    case YAML_SEQUENCE_START_EVENT: return open_collection(y, MC_SEQUENCE, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT: return open_collection(y, MC_MAPPING, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_collection(y);
    case YAML_STREAM_END_EVENT: y->stop = 1; return MCOMP_OK;
    default: return MCOMP_OK;
    }
}

/* What libyaml has to say, with what usually causes it. */
static int32_t refused(reader *y)
{
    const yaml_parser_t *p = &y->parser;
    const char *hint = NULL;
    y->stop = 1;
    if (p->error == YAML_MEMORY_ERROR) return mc_fail(MCOMP_NO_MEMORY, y->r->path, "no memory to read the recipe");
    if (p->error == YAML_READER_ERROR)
        return mc_recipe_note_at(y->r, MCOMP_RECIPE, mc_recipe_place(y->r, mc_recipe_start(y->r) + p->problem_offset), "a recipe is UTF-8", "%s", p->problem ? p->problem : "a character that cannot be read");
    const mc_text_mark at = mark_of(p->problem_mark);
    const uint64_t offset = mc_recipe_start(y->r) + p->problem_mark.index; /* in characters: near enough to see a tab in ASCII */
    if (offset < y->r->bytes && y->r->text[offset] == '\t') hint = "indent with spaces, not with tabs";
    else if (p->problem && strstr(p->problem, "mapping values")) hint = "a value with \": \" in it needs quotes";
    else if (p->context) hint = p->context;
    return mc_recipe_note_at(y->r, MCOMP_RECIPE, at, hint, "%s", p->problem ? p->problem : "this is no YAML");
}

static int32_t events(reader *y)
{
    int32_t st = MCOMP_OK;
    while (!y->stop && st == MCOMP_OK) {
        yaml_event_t e;
        if (!yaml_parser_parse(&y->parser, &e)) return refused(y);
        st = take(y, &e);
        yaml_event_delete(&e);
    }
    return st;
}

/* libyaml takes UTF-16 for what it is; other tools that see a recipe do not. */
static const char *other_encoding(const mcomp_recipe *r)
{
    const uint8_t *b = (const uint8_t *)r->text;
    if (r->bytes >= 2 && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == 0xfe && b[1] == 0xff))) return "the text is UTF-16";
    return memchr(b, 0, r->bytes) ? "a NUL byte: this is no text" : NULL;
}

int32_t mc_yaml_read(mc_ynode **out, mcomp_recipe *r)
{
    int32_t st;
    reader y = {.r = r};
    const char *other = other_encoding(r);
    *out = NULL;
    if (other) return mc_recipe_note_at(r, MCOMP_RECIPE, (mc_text_mark){1, 1}, "save it as UTF-8", "%s", other);
    if (!yaml_parser_initialize(&y.parser)) return mc_fail(MCOMP_NO_MEMORY, r->path, "no memory to read the recipe");
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    const uint64_t mark = mc_recipe_start(r);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)r->text + mark, r->bytes - mark);
    st = events(&y);
    yaml_parser_delete(&y.parser);
    mc_free(y.pending);
    mc_free(y.anchors);
    if (st == MCOMP_OK && !r->n_notes && !y.root) st = mc_recipe_note_at(r, MCOMP_RECIPE, (mc_text_mark){1, 1}, "version, model, data and passes are needed", "there is no recipe in it");
    if (st == MCOMP_OK && y.depth == 0) *out = y.root;
    return st;
}
