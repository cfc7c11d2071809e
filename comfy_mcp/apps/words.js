// What the page says around its form, in English and Chinese; the form comes with its own words.
const WORDS = {
  en: {
    waiting: "Waiting for the picture…",
    values: "Values",
    change: "Change the values",
    generate: "Generate",
    starting: "Starting…",
    queued: "Waiting in the queue…",
    step: "Step {0} of {1}",
    running: "Painting…",
    stop: "Stop",
    done: "Done: {0} new.",
    cancelled: "Cancelled.",
    pictures: "Pictures",
    seed: "seed {0}",
    job: "job {0}",
    loading: "Loading…",
    notShown: "Not shown here",
    noResources: "This chat does not let the page fetch more: it shows what came with the answer.",
    noFollow: "This chat does not let the page follow the job: the picture appears when it is finished.",
    noForm: "This chat leaves the form out. Say in the chat what to make: the picture appears here.",
    noTools: "This chat does not let the page call tools.",
    enlarge: "Enlarge picture {0}",
    useInput: "Use as input",
    again: "Make again",
    compare: "Compare",
    compareHint: "Choose a second picture to compare.",
    comparing: "Compare: how much of the first picture is shown",
    first: "First",
    second: "Second",
    previous: "Previous",
    next: "Next",
    close: "Close",
    fullscreen: "Full screen",
    filled: "The form has the values of {0}.",
    asInput: "{0} is the input now.",
    noPictureField: "{0} takes no picture.",
  },
  zh: {
    waiting: "正在等待图片…",
    values: "参数",
    change: "修改参数",
    generate: "生成",
    starting: "正在开始…",
    queued: "正在排队…",
    step: "第 {0} 步，共 {1} 步",
    running: "正在绘制…",
    stop: "停止",
    done: "完成：新增 {0} 张。",
    cancelled: "已取消。",
    pictures: "图片",
    seed: "种子 {0}",
    job: "任务 {0}",
    loading: "正在加载…",
    notShown: "此处无法显示",
    noResources: "此聊天不允许页面再取图片：只显示随回答送来的内容。",
    noFollow: "此聊天不允许页面跟踪任务：完成后图片会出现。",
    noForm: "此聊天没有送来表单。请直接在聊天中说要画什么：图片会显示在这里。",
    noTools: "此聊天不允许页面调用工具。",
    enlarge: "放大图片 {0}",
    useInput: "用作输入",
    again: "再次生成",
    compare: "对比",
    compareHint: "再选一张图片进行对比。",
    comparing: "对比：第一张图片显示的比例",
    first: "第一张",
    second: "第二张",
    previous: "上一张",
    next: "下一张",
    close: "关闭",
    fullscreen: "全屏",
    filled: "表单已填入 {0} 的参数。",
    asInput: "{0} 已作为输入。",
    noPictureField: "{0} 不接受图片。",
  },
};


let language = "en";

function speak(locale) {
  language = /^zh\b/i.test(locale || "") ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? locale : "en";
}

function say(key, ...values) {
  return WORDS[language][key].replace(/\{(\d)\}/g, (_, place) => String(values[place]));
}
