"""Variants of characters that names are written with: each common form, followed by what stands for it elsewhere.

`LAW`: the older forms in brackets in the table of common characters (常用漢字表, 2010) and those of the table of
characters for names (戸籍法施行規則 別表第二の二). `NAMES`: forms in family and place names that the register's unified
characters (戸籍統一文字) list under the common one. Left out is what needs no table: compatibility ideographs, which
Unicode itself decomposes, and the level 1 of JIS X 0208, which everybody reads and every machine shows.
"""

from collections.abc import Mapping

LAW = """
凜凛 尭堯 巌巖 晃晄 桧檜 槙槇 祷禱 禄祿 穣穰 萌萠 遥遙 亜亞 悪惡 為爲 栄榮 衛衞 円圓 縁緣 応應
桜櫻 奥奧 横橫 温溫 価價 壊壞 懐懷 楽樂 渇渴 巻卷 陥陷 寛寬 気氣 偽僞 戯戲 虚虛 峡峽 狭狹 暁曉
勲勳 薫薰 恵惠 掲揭 鶏鷄 芸藝 撃擊 県縣 倹儉 剣劍 険險 圏圈 検檢 顕顯 験驗 厳嚴 広廣 恒恆 黄黃
国國 黒黑 砕碎 雑雜 児兒 湿濕 実實 寿壽 収收 従從 渋澁 獣獸 縦縱 緒緖 叙敍 将將 渉涉 焼燒 奨奬
条條 状狀 乗乘 浄淨 剰剩 畳疊 嬢孃 譲讓 醸釀 真眞 寝寢 慎愼 尽盡 粋粹 酔醉 穂穗 瀬瀨 斉齊 静靜
摂攝 専專 戦戰 繊纖 禅禪 壮壯 争爭 荘莊 捜搜 巣巢 装裝 痩瘦 騒騷 増增 蔵藏 臓臟 即卽 帯帶 滞滯
単單 団團 弾彈 昼晝 鋳鑄 庁廳 徴徵 聴聽 鎮鎭 転轉 伝傳 盗盜 稲稻 徳德 拝拜 売賣 髪髮 抜拔 晩晚
秘祕 払拂 仏佛 歩步 翻飜 毎每 万萬 黙默 弥彌 薬藥 与與 揺搖 様樣 謡謠 来來 頼賴 覧覽 涼凉 緑綠
涙淚 塁壘 礼禮 暦曆 歴歷 錬鍊 郎郞 録錄 圧壓 囲圍 医醫 壱壹 隠隱 営營 駅驛 塩鹽 艶艷 欧歐 殴毆
穏穩 仮假 画畫 会會 絵繪 概槪 拡擴 殻殼 覚覺 学學 岳嶽 缶罐 勧勸 関關 歓歡 観觀 帰歸 亀龜 犠犧
旧舊 拠據 挙擧 挟挾 郷鄕 区區 駆驅 径徑 茎莖 渓溪 経經 蛍螢 軽輕 継繼 欠缺 研硏 献獻 権權 効效
鉱鑛 号號 済濟 斎齋 剤劑 参參 桟棧 蚕蠶 惨慘 賛贊 残殘 糸絲 歯齒 辞辭 写寫 釈釋 粛肅 処處 称稱
証證 縄繩 壌壤 触觸 嘱囑 図圖 随隨 髄髓 枢樞 数數 声聲 窃竊 浅淺 践踐 銭錢 潜潛 双雙 挿插 総總
属屬 続續 堕墮 対對 体體 台臺 択擇 沢澤 担擔 胆膽 断斷 遅遲 痴癡 虫蟲 勅敕 逓遞 鉄鐵 点點 当當
党黨 闘鬭 独獨 読讀 届屆 弐貳 悩惱 脳腦 覇霸 廃廢 麦麥 発發 蛮蠻 浜濱 瓶甁 併倂 並竝 餅餠 辺邊
変變 弁辨瓣辯 宝寶 豊豐 褒襃 満滿 麺麵 訳譯 予豫 余餘 誉譽 乱亂 両兩 猟獵 励勵 戻戾 霊靈 齢齡 恋戀
炉爐 労勞 楼樓 湾灣
"""

NAMES = """
高髙 崎﨑嵜𥔎 吉𠮷 辺邉 浜濵 柳栁桺 桑桒 橋槗𣘺 宜冝 清淸 土圡𡈽 脇𦚰 昇曻 青靑 村邨 島嶌 淵渕渊
彦彥 鶴靏靎靍 杉杦 叱𠮟 丈𠀋 哲喆 聡聰 鴎鷗 麹麴 瑶瑤 頬頰
"""


def common_forms() -> Mapping[str, str]:
    """Return by variant its common form."""
    return {variant: group[0] for group in f"{LAW} {NAMES}".split() for variant in group[1:]}
